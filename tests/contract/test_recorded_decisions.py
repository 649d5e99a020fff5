"""Every decision of the committed corpora is decided again: a change of the router that alters one is seen here.

A corpus is what real runs left in the log, written by `switchyard audit replay --save`. Files are added, never altered.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contracts.catalogue import CATALOGUE
from contracts.events.drafter import AnswerDrafted
from services.orchestrator import graph
from services.orchestrator.graph import PLAYBOOKS
from switchyard.audit.records.stored_row import StoredRow
from switchyard.cli.app import corpus
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.main import app
from switchyard.cli.commands.audit import replay as audit_replay
from switchyard.protocol.signing import OperatorKeys
from switchyard.router.playbook import Playbook, end_case, on
from tests.reference import replay_case

FOLDER = Path(__file__).parent / "corpus"
FILES = sorted(FOLDER.glob("*.jsonl.gz"))
ASSIST = FOLDER / "assist-1.jsonl.gz"
each_corpus = pytest.mark.parametrize("path", [pytest.param(path, id=path.name) for path in FILES])


def cases(path: Path) -> list[list[StoredRow]]:
    return list(corpus.read_cases(CATALOGUE, path))


@each_corpus
def test_recorded_decisions_equal_todays(path: Path) -> None:
    found = audit_replay.ReplayReport()
    for rows in corpus.read_cases(CATALOGUE, path):
        audit_replay.replay_and_count(rows, found, grace=timedelta(0))
    assert [str(each) for each in found.divergences] == []
    assert found.verification_failures == []
    assert found.decisions > 0
    assert found.undecided == 0


def test_case_with_an_emptied_body_is_unverified_and_not_retired() -> None:
    rows = cases(ASSIST)[0]
    rows[1] = replace(rows[1], row=rows[1].row._replace(body=""))
    found = audit_replay.ReplayReport()
    audit_replay.replay_and_count(rows, found, grace=timedelta(0))
    assert (found.unverified, found.retired, found.ok) == (1, 0, False)


@each_corpus
def test_corpus_has_no_artefact_and_each_case_once(path: Path) -> None:
    seen = Counter(rows[0].row.case_id for rows in corpus.read_cases(CATALOGUE, path))
    assert set(seen.values()) == {1}
    assert all(
        json.loads(each.row.body)["detail"]["storage_refs"] == {}
        for rows in corpus.read_cases(CATALOGUE, path)
        for each in rows
    )


def test_corpus_of_assist_1_has_every_kind_of_case() -> None:
    rows = [row.row for case in cases(ASSIST) for row in case]
    assert {row.outcome for row in rows if row.terminal} == {"answered", "no_agent", "failed", "expired", "rejected"}
    assert {row.transition for row in rows} >= {"TaskFailed", "TaskRetried", "NoAgentFits", "AnswerDrafted"}
    routed = {row.transition for row in rows if row.node_to == "router"}
    assert routed >= {edge.event.__name__ for edge in PLAYBOOKS["assist/1"].edges}, "an edge that no case takes"


def _altered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next release of the router, in which somebody edits a released playbook: drafts end as failures."""
    parts = [*graph.ASSIST_1.steps.values()]
    edges = [edge if edge.event is not AnswerDrafted else on(AnswerDrafted, end_case("failed", "late")) for edge in
             graph.ASSIST_1.edges]  # fmt: skip
    monkeypatch.setitem(PLAYBOOKS, "assist/1", Playbook("assist/1", *parts, *edges))


def test_edited_edge_is_reported_with_event_and_outcomes(monkeypatch: pytest.MonkeyPatch) -> None:
    _altered(monkeypatch)
    ran = CliRunner().invoke(app, ["audit", "replay", "--corpus", str(ASSIST)])
    assert ran.exit_code == 1
    answered = next(case for case in cases(ASSIST) if case[-1].row.outcome == "answered")
    drafted = next(each.row for each in answered if each.row.transition == "AnswerDrafted")
    output = " ".join(ran.output.split())
    assert (
        f"diverged: case {drafted.case_id} event {drafted.event_id} (AnswerDrafted from drafter, seq {drafted.seq}): "
        "recorded CloseCase to case_manager as answered; today CloseCase to case_manager as failed" in output
    )
    assert "cases would be decided otherwise today" in output


def test_replay_command_of_the_corpus_reports_no_divergence() -> None:
    ran = CliRunner().invoke(app, ["audit", "replay", "--corpus", str(ASSIST)])
    assert ran.exit_code == 0, ran.output
    assert "replay: no divergence" in ran.output


def test_retry_in_the_corpus_is_signed_by_its_operator() -> None:
    case = next(case for case in cases(ASSIST) if any(each.row.transition == "TaskRetried" for each in case))
    bodies = [each.row.body for each in case]
    stranger = replay_case(bodies, operators=OperatorKeys({"oncall": bytes(31) + b"\x09"}))
    assert stranger.divergence is not None
    assert "signature is not this operator's" in str(stranger.divergence)


def test_case_with_missing_event_is_named_and_not_replayed(tmp_path: Path) -> None:
    case = cases(ASSIST)[0]
    path = tmp_path / "cut.jsonl"
    path.write_text("".join(each.row.body + "\n" for each in case[:2] + case[3:]))
    ran = CliRunner().invoke(app, ["audit", "replay", "--corpus", str(path)])
    assert ran.exit_code == 1
    assert f"not replayed: case {case[0].row.case_id}" in " ".join(ran.output.split())
    assert "missing_parent" in ran.output


def test_altered_corpus_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "altered.jsonl"
    text = "".join(each.row.body + "\n" for each in cases(ASSIST)[0])
    path.write_text(text.replace('"seq":1', '"seq":2', 1))
    with pytest.raises(CommandFailed, match="line 2: the digest does not match"):
        cases(path)


def test_saved_corpus_equals_the_read_one(tmp_path: Path) -> None:
    for name in ("one.jsonl.gz", "two.jsonl.gz"):
        with corpus.open_corpus_writer(tmp_path / name) as write:
            for case in cases(ASSIST):
                write(case)
    assert (tmp_path / "one.jsonl.gz").read_bytes() == (tmp_path / "two.jsonl.gz").read_bytes()
    assert cases(tmp_path / "one.jsonl.gz") == cases(ASSIST)
