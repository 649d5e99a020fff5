"""The money ledger, as agents use it: each model call reserves the most that it may cost, and is closed with its cost.

The ledger is in the work database, behind two functions; its owner is the case manager, whose tick ends the
reservations of agents that were killed.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from latency_failover import CloseCall, FailoverDecision, PlannedCall
from switchyard.protocol.budgets import BUDGET_EXCEEDED, format_dollars
from switchyard.protocol.fields import Contract
from switchyard.runtime.budget.prices import Prices
from switchyard.runtime.core.errors import InboxLeaseLost, PermanentTaskError, TaskError, TaskPostponed, Unavailable
from switchyard.runtime.core.task import Task
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries

log = structlog.get_logger(__name__)
_SQL = load_queries(__file__)

PROMPT_MARGIN = 2
"""The prompt's tokens are estimated from its characters; twice the estimate is reserved."""

UNLIMITED_ANSWER_TOKENS = 32_000
"""Reserved for the answer of a model that is asked without a limit."""

REPORT_MARGIN_S = 60.0
"""How long after the end of its time an agent may report a call. Later, the call counts with its reservation."""


class MoneyLedger:
    """The reservations of one agent. `quotas`: tokens per minute that all tenants share, by model id."""

    def __init__(self, pool: Pool, prices: Prices, quotas: Mapping[str, int]) -> None:
        self._database = Database(pool, "the work database", _SQL)
        self._prices = prices
        self._quotas = quotas

    async def reserve(self, task: Task[Contract], call: PlannedCall, *, lease_s: float) -> str:
        """Reserve the most that a call may cost; the reservation's id.

        Raises `PermanentTaskError` where a limit forbids the call or it has no price, `TaskPostponed` where it has to
        wait, `InboxLeaseLost` if another worker has the task, and `Unavailable`.
        """
        call_id, first = str(uuid.uuid4()), call.models[0]
        tokens = [
            (PROMPT_MARGIN * call.prompt_tokens, model.max_tokens or UNLIMITED_ANSWER_TOKENS) for model in call.models
        ]
        costs = [
            self._prices.micros(model.vendor, model.model_id, *most)
            for model, most in zip(call.models, tokens, strict=True)
        ]
        unpriced = next((each.model_id for each, cost in zip(call.models, costs, strict=True) if cost is None), None)
        row = await self._database.row(
            "reserve",
            call_id,
            task.envelope.event_id,
            task.envelope.case_id,
            first.model_id,
            None if unpriced else sum(cost or 0 for cost in costs),
            sum(tokens[0]),
            self._quotas.get(first.model_id),
            lease_s,
        )
        if row["verdict"] != "granted":
            raise _denial(row, unpriced or first.model_id)
        return call_id

    async def close(self, call_id: str, decision: FailoverDecision) -> None:
        """Record what a call has cost. A ledger that cannot be reached is logged: the call has been made, and counts
        with its reservation."""
        tokens = decision.input_tokens + decision.output_tokens + decision.loser_tokens
        try:
            await self._database.value("close_call", call_id, self._prices.attempts_micros(decision.attempts), tokens)
        except Unavailable as error:
            log.warning("budget.not_closed", code=error.code)


@dataclass
class TaskMeter:
    """Reserves each model call of a task, and holds the task to its share of the case's tokens."""

    ledger: MoneyLedger
    task: Task[Contract]
    total_ms: int
    """The time that the task's calls have."""
    used: int
    """Tokens of the task so far, earlier attempts included."""

    async def open_call(self, call: PlannedCall) -> CloseCall:
        """Reserve; raises what `MoneyLedger.reserve` raises, and `PermanentTaskError` once the tokens are used."""
        share = self.task.envelope.budget.tokens
        if share and self.used >= share:
            message = f"the step may use {share} tokens, and has used {self.used}"
            remedy = "ask for less at once, or give the playbook more tokens"
            raise PermanentTaskError("tokens_used", message, "budget.tokens", remedy)
        call_id = await self.ledger.reserve(self.task, call, lease_s=self.total_ms / 1_000 + REPORT_MARGIN_S)

        async def close(decision: FailoverDecision) -> None:
            self.used += decision.input_tokens + decision.output_tokens + decision.loser_tokens
            await self.ledger.close(call_id, decision)

        return close


def _denial(row: Mapping[str, int | float | str | None], model: str) -> TaskError:
    raise_it = "raise the limit with `switchyard budget set`, then retry the case; or submit it again another day"
    match row["verdict"]:
        case "day" | "case" as period:
            limit, used = (format_dollars(int(row[name] or 0)) for name in ("limit_micros", "used_micros"))
            of = "the tenant's limit for the day" if period == "day" else "the limit of a case"
            message = f"{of} is ${limit}, and ${used} is spent: the call might exceed it"
            return PermanentTaskError(BUDGET_EXCEEDED, message, "budget", raise_it)
        case "unpriced":
            message = f"a limit applies, and no price is known for {model}"
            return PermanentTaskError(
                "model_without_price", message, "SWITCHYARD_MODEL_PRICES", "give the model's price there"
            )
        case "quota" | "reserved" as why:
            what = f"the minute's quota of {model}" if why == "quota" else "the money that other calls have reserved"
            return TaskPostponed(f"waits_for_{why}", f"the task waits for {what}", after_s=float(row["wait_s"] or 1))
        case _:
            return InboxLeaseLost("lease_lost", "another worker has the task, or its case is unknown")
