"""Latency failover between two pydantic-ai models: budgets, learned quantiles, hedging, breakers, records."""

from failover.classify import Failure, classify
from failover.clock import Clock, SystemClock
from failover.errors import AllModelsFailed, FailoverError, ModelNotPermitted, RetryOwnerConflict
from failover.model import FailoverModel
from failover.policy import BreakerPolicy, Budget, FailoverPolicy, ModelPolicies, ModelPolicy, PolicyRule
from failover.records import Attempt, Decision
from failover.replay import contradictions
from failover.scope import BudgetRecord
from failover.snapshot import Snapshot
from failover.statistics import LatencyStats

__all__ = [
    "AllModelsFailed",
    "Attempt",
    "BreakerPolicy",
    "Budget",
    "BudgetRecord",
    "Clock",
    "Decision",
    "FailoverError",
    "FailoverModel",
    "FailoverPolicy",
    "Failure",
    "LatencyStats",
    "ModelNotPermitted",
    "ModelPolicies",
    "ModelPolicy",
    "PolicyRule",
    "RetryOwnerConflict",
    "Snapshot",
    "SystemClock",
    "classify",
    "contradictions",
]
