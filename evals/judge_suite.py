"""Runs the compliance gate's judge over labelled drafts, on any model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from contracts.documents.accounts import AccountFacts
from evals.cases import JudgeCase, hash_dataset
from services.drafter.mime import OptOutChannels, compose
from services.specialists.compliance.email_text.message import ParsedEmail, read_message
from services.specialists.compliance.judge import JUDGE_PROMPT_VERSION, Judgement, below_floor, criteria, judge_email
from services.specialists.compliance.pack import RulePack
from services.specialists.compliance.rules.rule import RuleInput
from switchyard.evals.models import SIMULATOR_MODEL
from switchyard.evals.results import EvalRun, SuiteResult, share
from switchyard.runtime.core.errors import TaskError

if TYPE_CHECKING:
    from pydantic_ai import Agent

DATASET_NOW = datetime(2026, 9, 15, 16, tzinfo=UTC)
DATASET_OPT_OUT = OptOutChannels(url="https://mail.harborline.example/o/dataset")


def build_situation(account: AccountFacts, case: JudgeCase, pack: RulePack) -> tuple[RuleInput, ParsedEmail]:
    """The draft as the drafter would compose it and the gate would read it."""
    raw = compose(
        account,
        purpose=case.purpose,
        today=DATASET_NOW.date().isoformat(),
        subject=case.subject,
        paragraphs=case.paragraphs,
        case_id="00000000-0000-4000-8000-000000000000",
        opt_out=DATASET_OPT_OUT,
    )
    message = read_message(raw, pack.email)
    return RuleInput(account, case.purpose, DATASET_NOW, pack, message), message


async def run_judge(
    agent: Agent[None, Judgement], account: AccountFacts, cases: Sequence[JudgeCase], pack: RulePack, run: EvalRun
) -> SuiteResult:
    """Every draft, so many times."""
    seen: Counter[tuple[bool, bool]] = Counter()
    violations: set[str] = set()

    async def attempt(case: JudgeCase) -> str:
        given, message = build_situation(account, case, pack)
        try:
            judgement = await judge_email(agent, given, message)
        except TaskError:
            return "no judgement"
        low = {mark.name for mark in below_floor(criteria(judgement, given.pack))}
        seen[bool(case.low), bool(low)] += 1
        if case.never and not low:
            violations.add(f"{case.id} passed")
        if low & set(case.low) or not (low or case.low):
            return ""
        right = " or ".join(case.low) or "nothing"
        return f"below the floor: {', '.join(sorted(low)) or 'nothing'}; right is {right}"

    results = await run.score(cases, attempt)
    return SuiteResult(
        suite="compliance",
        model=run.model,
        deterministic=run.model == SIMULATOR_MODEL,
        prompt_version=JUDGE_PROMPT_VERSION,
        dataset_version=hash_dataset("compliance"),
        rates={
            "wrongly_passed": share(seen[True, False], seen[True, False] + seen[True, True]),
            "wrongly_stopped": share(seen[False, True], seen[False, True] + seen[False, False]),
        },
        violations=tuple(sorted(violations)),
        cases=results,
    )
