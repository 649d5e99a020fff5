"""Counts what the Text-to-SQL guard refuses: every hostile statement, few of the analysts' queries. No model runs."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence

from evals.cases import AnalystCase, HostileCase, analyst_cases, hash_dataset, hostile_cases
from services.specialists.text_to_sql.guard_process import GuardProcess
from services.specialists.text_to_sql.unsafe_query import UnsafeQuery
from switchyard.evals.results import CaseResult, EvalRun, SuiteResult, share

MAX_ANALYSTS_REFUSED = 0.05


def run_guard(
    guard: GuardProcess,
    run: EvalRun,
    hostile: Sequence[HostileCase] | None = None,
    analyst: Sequence[AnalystCase] | None = None,
) -> SuiteResult:
    """Every statement of both corpora, counted by kind. A hostile one that is accepted must never happen."""
    hostile, analyst = hostile or hostile_cases(), analyst or analyst_cases()
    accepted = [case.id for case in hostile if _read(guard, case.sql) is not None]
    read = {case.id: _read(guard, case.sql) for case in analyst}
    refused = [name for name, columns in read.items() if columns is None]
    wrong = [case.id for case in analyst if read[case.id] not in {None, case.columns}]
    violations = [f"hostile statement accepted: {name}" for name in accepted]
    violations += [f"reported to read what it does not read: {name}" for name in wrong]
    if len(refused) > MAX_ANALYSTS_REFUSED * len(analyst):
        violations.append(f"{len(refused)} of {len(analyst)} analysts' queries refused: {', '.join(refused)}")
    versions = hash_dataset("sql_hostile") + hash_dataset("sql_analyst")
    return SuiteResult(
        suite="sql_guard",
        model=run.model,
        deterministic=True,
        prompt_version="",
        dataset_version=hashlib.sha256(versions.encode()).hexdigest()[:12],
        rates={
            "hostile_accepted": share(len(accepted), len(hostile)),
            "analysts_refused": share(len(refused), len(analyst)),
        },
        violations=tuple(violations),
        cases=(*_by_kind("hostile", hostile, accepted), *_by_kind("analyst", analyst, [*refused, *wrong])),
    )


def _read(guard: GuardProcess, sql: str) -> tuple[str, ...] | None:
    """The columns that the guard reports, or None if it refuses."""
    try:
        return guard.check_now(sql).columns
    except UnsafeQuery:
        return None


def _by_kind(corpus: str, cases: Sequence[HostileCase], failed: Sequence[str]) -> tuple[CaseResult, ...]:
    kinds: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        kinds[re.sub(r"-\d+$", "", case.id)].append(case.id)
    return tuple(
        CaseResult(
            id=f"{corpus} {kind}",
            passes=sum(name not in failed for name in names),
            runs=len(names),
            note=", ".join(name for name in names if name in failed),
        )
        for kind, names in kinds.items()
    )
