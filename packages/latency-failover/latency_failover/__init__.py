"""Latency failover between two pydantic-ai models: budgets, learned quantiles, hedging, breakers, records."""

from latency_failover.classify import Failure, classify
from latency_failover.clock import Clock, SystemClock
from latency_failover.errors import AllModelsFailed, FailoverError, ModelNotPermitted, RetryOwnerConflict
from latency_failover.model import FailoverModel
from latency_failover.policy import BreakerPolicy, Budget, FailoverPolicy, ModelPolicies, ModelPolicy, PolicyRule
from latency_failover.records import Attempt, Decision
from latency_failover.replay import contradictions
from latency_failover.scope import BudgetRecord
from latency_failover.snapshot import Snapshot
from latency_failover.statistics import LatencyStats

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
