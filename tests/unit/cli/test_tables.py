"""Tables fit 80 columns without a broken word; a pipe gets every column; JSON has the documented fields."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from services.specialists.email_sender import commands as email
from services.specialists.email_sender import unresolved_sends
from services.specialists.email_sender.unresolved_sends import UnresolvedSend
from switchyard.audit.reconciliation.completeness import Gap, GapKind
from switchyard.audit.reconciliation.reconciler import ReconciliationReport
from switchyard.audit.records.stored_row import CaseStatus
from switchyard.audit.retention import retention as log_retention
from switchyard.audit.verification.audit_reader import CaseSummary, StoredAlarm
from switchyard.audit.verification.findings import VerifyReport
from switchyard.cli.app import audit_log
from switchyard.cli.app.console import console
from switchyard.cli.app.main import app
from switchyard.cli.commands import approval, budget, case, playbook
from switchyard.cli.commands.audit import reconcile, retention, verify
from switchyard.devstack.stack import daemon, running
from switchyard.devstack.supervisor.process import ProcessState, ProcessStatus

CASE = "3f0c9a64-1c53-5b0e-9f60-6a1c5f8f2f11"
NOW = datetime(2026, 11, 28, 18, 30, 5, tzinfo=UTC)
SHA = "9b74c9897bac770ffc029102a200c5de" * 2
DOCUMENT = Path(__file__).parents[3] / "docs" / "operate" / "cli.md"


def _answer(value: Any) -> Callable[..., Any]:
    async def answer(*_: Any, **__: Any) -> Any:
        return value

    return answer


def _summary(outcome: str, code: str, agent: str) -> CaseSummary:
    return CaseSummary(
        opened_on=date(2026, 11, 28),
        case_id=CASE,
        tenant="harbor-partners",
        session_id="f2b6f3de-collections",
        playbook_version="outbound_email/1",
        route="outbound_email",
        agents=(agent,),
        model_ids=("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "gpt-5.2"),
        hops=14,
        opened_at=NOW,
        closed_at=NOW,
        duration_ms=86_412_345,
        status=CaseStatus.CLOSED,
        outcome=outcome,
        code=code,
    )


def _step(node_from: str, node_to: str, transition: str) -> dict[str, Any]:
    return {
        "seq": 12,
        "event_id": CASE,
        "since_opened_ms": 86_412_345,
        "node_from": node_from,
        "node_to": node_to,
        "transition": transition,
        "model_id": "claude-sonnet-4-5",
        "model_reason": "throttled",
        "latency_ms": 12_345,
        "digest": SHA,
    }


APPROVAL = {
    "approval_id": CASE,
    "case_id": CASE,
    "playbook": "outbound_email",
    "content_sha256": SHA,
    "pack": "2026-09-01",
    "reason": "first contact with a consumer in New York City",
    "requested_by": "collections@harborline.example",
    "agreed_by": ["m.okafor"],
    "asked_at": NOW,
    "decide_by": NOW,
}
SHOWN = {
    **case._summary_fields(_summary("failed", "models_failed", "text_to_sql")),
    "steps": [
        _step("case_manager", "router", "CaseOpened"),
        _step("email_sender", "external", "ContactSuppressed"),
        _step("router", "case_manager", "RequestApproval"),
    ],
    "accesses": [
        {
            "seq": 4,
            "event_id": CASE,
            "subject": CASE,
            "agent": "text_to_sql",
            "grant": CASE,
            "jti": "tok_mKcJj0-molRF_UTq6uY0Dk6yYb2Zr9Qv",
            "audience": "https://warehouse.northfork.example",
            "scopes": ["session:role:FIELD_EAGLE_FORD"],
        }
    ],
    "user": "ana.morales",
    "retired_bodies": 1,
    "opened": [{"name": "question", "text": "Which ten wells produced the most oil in June 2026, in bbl?"}],
    "chain_ok": True,
    "files": None,
}
POLICY = {
    "playbook": "outbound_email",
    "effective_from": NOW,
    "keep_for": timedelta(days=1_095),
    "duty_for": timedelta(days=1_095),
    "duty_counts_from": ["SendingResolved", "EmailSent"],
    "citation": "12 CFR 1006.100(a): three years after the last collection activity",
    "set_by": "migration",
}
HOLD = {
    "hold_id": CASE,
    "case_id": CASE,
    "reason": "complaint 4711 of 2026-11-20",
    "placed_by": "m.chen",
    "placed_at": NOW,
}
HALTED = {
    "playbook": "outbound_email",
    "since": NOW,
    "by": "oncall@harborline.example",
    "reason": "complaints from three consumers since noon, see incident 4711",
}


def _alarm() -> StoredAlarm:
    reason = "the source switchyard.case_manager is not that of the producer router"
    return StoredAlarm("forged_source", CASE, CASE, reason, "source", None, NOW)


def _reconciled() -> ReconciliationReport:
    found = ReconciliationReport(cases=1_234, published=dict.fromkeys(("case_manager", "email_feedback"), 123_456))
    gap = {"producer": "case_manager", "case_id": CASE, "event_id": CASE, "type": "CaseOpened", "since": NOW}
    fields: dict[str, Any] = dict.fromkeys(Gap.__dataclass_fields__) | gap
    found.gaps.append(Gap(**(fields | {"kind": GapKind.HOLE})))
    return found


def _yield(value: Any) -> Callable[..., Any]:
    return lambda *_: nullcontext(value)


def _case_list(patch: pytest.MonkeyPatch) -> None:
    rows = [
        _summary("suppressed", "disclosure_missing", "field_routing"),
        _summary("failed", "models_failed", "triage"),
    ]
    patch.setattr(audit_log, "open_audit_reader", _yield(SimpleNamespace(list_cases=_answer(rows))))


def _case_show(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(case, "_read_case", _answer((SHOWN, [])))


def _approval_list(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(approval, "open_pool", _yield(SimpleNamespace(fetch=_answer([APPROVAL]))))


def _approval_show(patch: pytest.MonkeyPatch) -> None:
    text = "Dear Ada,\n\nthis is an attempt to collect a debt, and any information obtained is used for that purpose.\n"
    email = f"From: a@b.example\nTo: ada@example.com\nSubject: Your account\n\n{text}"
    _approval_list(patch)
    patch.setattr(approval, "_read_content", _answer(email))


def _playbook_list(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(playbook, "open_pool", _yield(SimpleNamespace(fetch=_answer([HALTED]))))


def _email_list(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(email, "open_pool", _yield(None))
    rows = [UnresolvedSend(CASE, SHA, NOW, "SendingUnknown")]
    patch.setattr(unresolved_sends, "list_unresolved_sends", _answer(rows))


def _rules_list(_: pytest.MonkeyPatch) -> None:
    """The rules are in the code."""


def _stack_status(patch: pytest.MonkeyPatch) -> None:
    fields: dict[str, Any] = dict.fromkeys(ProcessStatus.__dataclass_fields__)
    fields |= {
        "name": "email_feedback",
        "state": ProcessState.RESTARTING,
        "pid": 4_194_304,
        "port": 65_535,
        "restarts": 12,
    }
    patch.setattr(daemon, "stack_status", lambda: [ProcessStatus(**fields)])
    patch.setattr(ProcessStatus, "uptime", lambda *_: 86_400.0)
    patch.setattr(running, "running_on", lambda: {"models": "openai own (at http://127.0.0.1:11434/v1), no fallback"})


def _retention_show(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(retention, "open_pool", _yield(None))
    patch.setattr(log_retention, "read_retention", _answer(([dict(POLICY)], [dict(HOLD)])))


def _audit_verify(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(verify, "verify_chain", _answer(VerifyReport("everything")))
    patch.setattr(verify, "open_audit_reader", _yield(SimpleNamespace(alarms=_answer([_alarm()]))))


def _audit_reconcile(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reconcile, "open_reconciler", _yield(SimpleNamespace(run=_answer(_reconciled()))))


def _budget_show(patch: pytest.MonkeyPatch) -> None:
    row = {"tenant": "harbor-partners", "day": date(2026, 11, 29), "day_limit": 50_000_000, "case_limit": None}
    row |= {"spent": 49_999_999, "observed": 2, "reserved": 1, "stopped_calls": 3, "unpriced_tokens": 0}
    patch.setattr(budget, "open_pool", _yield(SimpleNamespace(fetch=_answer([row]))))


COMMANDS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "case list": _case_list,
    f"case show {CASE}": _case_show,
    "approval list": _approval_list,
    f"approval show {CASE}": _approval_show,
    "playbook list": _playbook_list,
    "budget show": _budget_show,
    "email list-unresolved": _email_list,
    "rules list": _rules_list,
    "stack status": _stack_status,
    "audit retention show": _retention_show,
    "audit verify": _audit_verify,
    "audit reconcile": _audit_reconcile,
}
each_command = pytest.mark.parametrize("name", COMMANDS)


def printed(patch: pytest.MonkeyPatch, name: str, width: int, *options: str) -> str:
    """What a command prints."""
    patch.setattr(console, "width", width)
    patch.setenv("SWITCHYARD_ENV", "aws")
    COMMANDS[name](patch)
    ran = CliRunner().invoke(app, [*name.split(), *options])
    if not isinstance(ran.exception, SystemExit | None):
        raise ran.exception
    return ran.stdout


@each_command
def test_table_at_80_columns_fits_and_breaks_no_word(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    narrow = printed(monkeypatch, name, 80)
    assert max(map(len, narrow.splitlines())) <= 80
    assert "…" not in narrow
    whole = set(printed(monkeypatch, name, 1_000).split())
    shortened = {word[:8] for word in whole} | {word[:16] for word in whole}
    assert {word for word in narrow.split() if word not in whole | shortened and set(word) != {"─"}} == set()


@each_command
def test_table_in_a_pipe_has_whole_ids_on_one_line(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    wide = printed(monkeypatch, name, 1_000)
    assert CASE in wide or name in {"playbook list", "budget show", "rules list", "stack status"}


@each_command
def test_json_has_the_documented_fields(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    found = json.loads(printed(monkeypatch, name, 80, "--json"))
    fields = list(found[0] if isinstance(found, list) else found)
    row = next(
        line
        for line in DOCUMENT.read_text(encoding="utf-8").splitlines()
        if line.startswith(f"| `{name.removesuffix(f' {CASE}')}` |")
    )
    assert [field.strip(" `") for field in row.split("|")[3].split(",")] == fields
