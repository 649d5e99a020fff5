"""Budget scopes: the budget of the current call, also with concurrent calls."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from latency_failover.meter import CallMeter
from latency_failover.policy import LatencyBudget, ModelPolicy
from latency_failover.records import FailoverDecision


@dataclass
class BudgetRecord:
    """The record of one budget scope: a decision per model call, in the order of their end."""

    decisions: list[FailoverDecision] = field(default_factory=list)


@dataclass(frozen=True)
class BudgetScope:
    """The budget of one model (`owner`), counted from `started` (clock seconds)."""

    owner: object
    budget: LatencyBudget
    models: ModelPolicy
    started: float
    record: BudgetRecord
    meter: CallMeter | None = None


_scopes: ContextVar[tuple[BudgetScope, ...]] = ContextVar("failover_scopes", default=())


@contextmanager
def enter_scope(
    owner: object, budget: LatencyBudget, models: ModelPolicy, started: float, meter: CallMeter | None = None
) -> Iterator[BudgetRecord]:
    """Open a scope for calls of `owner` in this context and in tasks started from it."""
    scope = BudgetScope(owner, budget, models, started, BudgetRecord(), meter)
    token = _scopes.set((*_scopes.get(), scope))
    try:
        yield scope.record
    finally:
        _scopes.reset(token)


def current_scope(owner: object) -> BudgetScope | None:
    """The innermost scope of `owner` here, if any."""
    return next((scope for scope in reversed(_scopes.get()) if scope.owner is owner), None)
