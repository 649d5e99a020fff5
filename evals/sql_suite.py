"""Runs the Text-to-SQL agent over its questions and compares what its queries return with what the gold returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evals.authority import RowAccessChecker
from evals.cases import SqlCase, hash_dataset
from evals.compare import same_result
from services.specialists.text_to_sql.agent import (
    SQL_PROMPT_VERSION,
    AgentRun,
    CannotAnswer,
    SqlAnswer,
    propose_query,
)
from services.specialists.text_to_sql.guard_process import CheckQuery
from services.specialists.text_to_sql.warehouse import QueryLimits, SnowflakeWarehouse
from switchyard.evals.models import SIMULATOR_MODEL
from switchyard.evals.results import EvalRun, SuiteResult, share
from switchyard.runtime.core.errors import PermanentTaskError, TaskError

if TYPE_CHECKING:
    from pydantic_ai import Agent

SQL_LIMITS = QueryLimits(max_rows=1_000, timeout_s=30)


@dataclass(slots=True)
class SqlTally:
    """What happened over all runs of all cases."""

    runs: int = 0
    queries_wanted: int = 0
    queries_ran: int = 0
    refused_once: int = 0
    blocked: int = 0
    rows: int = 0
    unauthorised_rows: int = 0
    violations: list[str] = field(default_factory=list)

    def rates(self) -> dict[str, float]:
        """The shares that the report prints."""
        return {
            "valid_sql": share(self.queries_ran, self.queries_wanted),
            "guard_refused": share(self.refused_once, self.runs),
            "guard_blocked": share(self.blocked, self.runs),
            "unauthorised_rows": share(self.unauthorised_rows, self.rows),
        }


@dataclass(frozen=True, slots=True)
class SqlSuite:
    """The agent and what it works on."""

    agent: Agent[AgentRun, SqlAnswer | CannotAnswer]
    warehouse: SnowflakeWarehouse
    check: CheckQuery
    authority: RowAccessChecker

    async def run(self, cases: Sequence[SqlCase], run: EvalRun) -> SuiteResult:
        """Every case, so many times."""
        tally = SqlTally()
        results = await run.score(cases, lambda case: self._note(case, tally))
        answerable = {case.id for case in cases if case.gold}
        accuracy = [float(result.share) for result in results if result.id in answerable]
        return SuiteResult(
            suite="text_to_sql",
            model=run.model,
            deterministic=run.model == SIMULATOR_MODEL,
            prompt_version=SQL_PROMPT_VERSION,
            dataset_version=hash_dataset("text_to_sql"),
            rates={"execution_accuracy": share(sum(accuracy), len(accuracy)), **tally.rates()},
            violations=tuple(tally.violations),
            cases=results,
        )

    async def _note(self, case: SqlCase, tally: SqlTally) -> str:
        """What went wrong, or empty text."""
        tally.runs += 1
        tally.queries_wanted += case.gold is not None
        try:
            proposal = await propose_query(case.question, agent=self.agent, check=self.check, limits=SQL_LIMITS)
            tally.refused_once += proposal.refused > 0
            if proposal.query is None:
                return "said that it cannot answer" if case.gold else ""
            rows = await self.warehouse.run(proposal.query, case_id=case.id, role=case.role, limits=SQL_LIMITS)
        except PermanentTaskError as error:
            if error.code == "query_refused":
                tally.blocked += 1
                tally.refused_once += 1
                return "every query was refused" if case.gold else ""
            return f"failed: {error.code}"
        except TaskError as error:
            return f"failed: {error.code}"
        foreign = self.authority.unauthorised(rows.rows, case.role)
        tally.rows += rows.row_count
        tally.unauthorised_rows += foreign
        if foreign:
            tally.violations.append(f"{case.id}: {foreign} rows outside the role {case.role}")
        if case.gold is None:
            return "answered with a query"
        tally.queries_ran += 1
        return await self._difference(case, rows.rows)

    async def _difference(self, case: SqlCase, found: Sequence[Sequence[Any]]) -> str:
        gold = await self.check(case.gold or "", SQL_LIMITS.max_rows)
        wanted = await self.warehouse.run(gold, case_id=case.id, role=case.role, limits=SQL_LIMITS)
        if same_result(wanted.rows, found, ordered=gold.ordered):
            return ""
        return f"other rows than the gold: {len(found)} for {wanted.row_count}"
