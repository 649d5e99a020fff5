"""Runs the rules of the compliance gate over labelled drafts: caught, missed and false blocks, per rule. No model."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from html import escape
from typing import Any

from contracts.documents.accounts import AccountFacts, Purpose
from contracts.documents.disclosures import Disclosure, required_disclosures
from evals.cases import RuleCase, hash_dataset, judge_cases
from evals.judge_suite import DATASET_NOW, DATASET_OPT_OUT_LINK
from services.drafter.mime import compose
from services.specialists.compliance.email_text.message import read_message
from services.specialists.compliance.pack import RulePack, newest_pack
from services.specialists.compliance.review import blocking_results, evaluate_rules, rule_ids
from services.specialists.compliance.rules import RULES
from services.specialists.compliance.rules.rule import RuleInput
from switchyard.evals.results import CaseResult, EvalRun, SuiteResult

MAX_FALSE_BLOCKS = 0.02
"""Share of clean drafts."""

_SALT = bytes(16)
_BOUNDARY = "=_rules"
_FIRST_CONTACT: dict[str, Any] = {
    "history__contacts": [],
    "history__first_contact_on": None,
    "history__contacted_before": False,
    "history__validation_notice_on": None,
    "history__validation_ends_on": "2026-10-25",
    "history__last_activity_on": None,
}
_ABOUT = "We are writing about your account ****4821 from {original_creditor}, now owed to {current_creditor}."
_PARAGRAPHS: dict[Purpose, tuple[str, ...]] = {
    "payment_reminder": (
        _ABOUT,
        "Your current balance is $1,234.50. Thank you for your payment of $200.00 on May 4, 2026.",
        "You can pay online at https://www.harborline.example or call us at (614) 555-0100.",
    ),
    "settlement_offer": (
        _ABOUT,
        "Your current balance is $1,234.50. {current_creditor} will accept $900.00 as payment in full if we receive "
        "it by October 30, 2026.",
        "You are free to decline. You can reply to this email or call us at (614) 555-0100 with any question.",
    ),
    "initial_notice": ("We are writing to introduce ourselves and to give you information about an account.",),
    "payment_confirmation": (
        "Thank you. We received your payment of $200.00 on May 4, 2026 for account ****4821.",
        "Your current balance is $1,234.50.",
    ),
    "dispute_response": (
        "You wrote to us that you dispute your account ****4821 from {original_creditor}. The books of "
        "{current_creditor} say: the principal is $1,400.00, the interest $34.50, and you paid $200.00.",
    ),
}


@dataclass(frozen=True)
class RuleCaseResult:
    """Which rules blocked a draft; `error` is set if the rules raised instead of answering."""

    case: RuleCase
    blocked_by: tuple[str, ...]
    ms: float
    error: str = ""

    @property
    def right(self) -> bool:
        """Whether the draft was blocked by its rule, or was clean and passed. True for what only a judge can reject."""
        if self.case.rule is None:
            return not (self.blocked_by or self.error)
        return self.case.judge_only or self.case.rule in self.blocked_by


@dataclass(frozen=True)
class RuleTally:
    """Counts for one rule. `false_blocks` are clean drafts that it blocked."""

    rule: str
    caught: int
    missed: int
    false_blocks: int
    judge_only: int


@cache
def _account() -> str:
    return judge_cases()[0].model_dump_json(exclude_none=True)


def build_account(case: RuleCase) -> AccountFacts:
    """The account of the judge's drafts with the case's changes."""
    facts = json.loads(_account())
    changes = (_FIRST_CONTACT if case.base == "first_contact" else {}) | case.facts
    for path, value in changes.items():
        *way, last = path.split("__")
        at = facts
        for name in way:
            at = at[name]
        if value is None:
            at.pop(last, None)
        else:
            at[last] = value
    return AccountFacts.model_validate_json(json.dumps(facts))


def build_email(case: RuleCase, account: AccountFacts, purpose: Purpose) -> bytes:
    """The draft: headers as the drafter composes them, and a text and an HTML part with the case's faults."""
    today = (case.now or DATASET_NOW).date().isoformat()
    composed = compose(
        account,
        purpose=purpose,
        today=today,
        subject=case.subject,
        paragraphs=["x"],
        case_id="00000000-0000-4000-8000-000000000000",
        opt_out_link=DATASET_OPT_OUT_LINK,
    )
    header = composed.partition(b"\r\n\r\n")[0].decode("ascii")
    header = re.sub(r'boundary="[^"]*"', f'boundary="{_BOUNDARY}"', header)
    for name, value in case.headers.items():
        header = re.sub(rf"(?im)^{name}:.*(?:\r\n[ \t].*)*\r\n", "", header + "\r\n").removesuffix("\r\n")
        header += f"\r\n{name}: {value}"
    required = required_disclosures(account, purpose, today)
    body = _paragraphs(case, account, purpose)
    parts = (("plain", _text(case, body, required)), ("html", _html(case, body, required)))
    encoded = "".join(
        f"--{_BOUNDARY}\r\nContent-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        + content.replace("\n", "\r\n")
        + "\r\n"
        for kind, content in parts
    )
    return f"{header}\r\n\r\n{encoded}--{_BOUNDARY}--\r\n".encode()


def _paragraphs(case: RuleCase, account: AccountFacts, purpose: Purpose) -> list[str]:
    ledger, consumer = account.ledger, account.consumer
    own = [
        each.format(original_creditor=ledger.original_creditor, current_creditor=ledger.current_creditor)
        for each in _PARAGRAPHS[purpose]
    ]
    greeting = f"Dear {consumer.first_name} {consumer.last_name},"
    return [greeting, *(case.paragraphs or own), *([case.add] if case.add else [])]


def _text(case: RuleCase, body: list[str], required: Iterable[Disclosure]) -> str:
    legal = [
        f"{each.text} {DATASET_OPT_OUT_LINK}" if each.rule == "R06" else each.text
        for each in required
        if each.rule != case.drop_text
    ]
    return "\n\n".join([*body, *([case.text] if case.text else []), *legal])


def _html(case: RuleCase, body: list[str], required: Iterable[Disclosure]) -> str:
    in_attribute = '"{}"' in case.around
    legal = []
    for each in required:
        if each.rule == case.drop_html or not case.around:
            continue
        shown = escape(each.text)
        if each.rule == "R06" and not in_attribute:
            shown += " " + case.link.replace("{}", DATASET_OPT_OUT_LINK)
        legal.append(case.around.replace("{}", shown))
    head = case.head.replace("{}", escape(" ".join(each.text for each in required)))
    own = [f"<p>{escape(each)}</p>" for each in body]
    return "\n".join([
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">{head}</head>',
        '<body style="font-family:Arial,Helvetica,sans-serif;font-size:16px;line-height:1.5;color:#1a1a1a">',
        *own,
        case.html,
        *legal,
        "</body>\n</html>",
    ])  # fmt: skip


def run_case(case: RuleCase, pack: RulePack) -> RuleCaseResult:
    """What the rules say of one draft. What raises is reported, not hidden."""
    account = build_account(case)
    purpose = case.purpose or ("initial_notice" if case.base == "first_contact" else "payment_reminder")
    raw = build_email(case, account, purpose)
    started = time.process_time()
    try:
        message = read_message(raw, pack.email)
        situation = RuleInput(account, purpose, case.now or DATASET_NOW, pack, message)
        stopped = rule_ids(blocking_results(evaluate_rules(situation, "email", _SALT)))
    except Exception as error:  # noqa: BLE001 an exception is what must never happen: it is counted as a miss
        return RuleCaseResult(case, (), 0.0, f"{type(error).__name__}: {error}"[:200])
    return RuleCaseResult(case, stopped, (time.process_time() - started) * 1_000)


def run_rules(cases: Iterable[RuleCase]) -> tuple[RuleCaseResult, ...]:
    """Every draft, under the newest pack, be its day to come."""
    pack = newest_pack()
    return tuple(run_case(case, pack) for case in cases)


def tally_rules(results: Iterable[RuleCaseResult]) -> tuple[RuleTally, ...]:
    """The counts per rule, for each rule that has a draft or a false block."""
    counts: Counter[tuple[str, str]] = Counter()
    for result in results:
        case = result.case
        if case.rule is None:
            for rule in result.blocked_by:
                counts[rule, "false_blocks"] += 1
        elif case.judge_only:
            counts[case.rule, "judge_only"] += 1
        else:
            counts[case.rule, "caught" if result.right else "missed"] += 1
    return tuple(
        RuleTally(rule, *(counts[rule, name] for name in ("caught", "missed", "false_blocks", "judge_only")))
        for rule in RULES
        if any(rule == found for found, _ in counts)
    )


def false_block_rate(results: Iterable[RuleCaseResult]) -> float:
    """The share of clean drafts that a rule blocked, or on which the rules raised."""
    clean = [result for result in results if result.case.rule is None]
    return sum(not result.right for result in clean) / len(clean)


def format_table(results: Iterable[RuleCaseResult]) -> str:
    """The counts as a Markdown table."""
    rows = ["| rule | caught | missed | false blocks | only a judge |", "|---|---|---|---|---|"]
    tallies = tally_rules(results)
    rows += [f"| {t.rule} | {t.caught} | {t.missed} | {t.false_blocks} | {t.judge_only} |" for t in tallies]
    total = [sum(getattr(t, name) for t in tallies) for name in ("caught", "missed", "false_blocks", "judge_only")]
    return "\n".join([*rows, f"| all | {' | '.join(map(str, total))} |"])


def run_rules_suite(cases: Iterable[RuleCase], run: EvalRun) -> SuiteResult:
    """Every draft once. A draft that a rule should have blocked and did not, or too many false blocks, must never
    happen; the table and the time per draft are printed."""
    results = run_rules(cases)
    times = sorted(result.ms for result in results)
    print(format_table(results))
    print(f"\nCPU ms per draft: median {times[len(times) // 2]:.1f}, p95 {times[int(len(times) * 0.95)]:.1f}")
    false_blocks = false_block_rate(results)
    judged = [result for result in results if not result.case.judge_only]
    violations = [f"{result.case.id} passed" for result in judged if result.case.rule and not result.right]
    if false_blocks > MAX_FALSE_BLOCKS:
        violations.append(f"{false_blocks:.1%} of the clean drafts were blocked, {MAX_FALSE_BLOCKS:.0%} are allowed")
    return SuiteResult(
        suite="compliance_rules",
        model=run.model,
        deterministic=True,
        prompt_version="",
        dataset_version=hash_dataset("compliance_rules"),
        rates={"false_blocks": round(false_blocks, 6)},
        violations=tuple(violations),
        cases=tuple(CaseResult.once(result.case.id, _wrong(result)) for result in judged),
    )


def _wrong(result: RuleCaseResult) -> str:
    return "" if result.right else result.error or f"blocked by {', '.join(result.blocked_by) or 'nothing'}"
