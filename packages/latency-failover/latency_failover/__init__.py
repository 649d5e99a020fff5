"""Latency failover between two pydantic-ai models: budgets, learned quantiles, hedging, breakers, records."""

from latency_failover.classify import ClassifiedFailure, classify
from latency_failover.clock import MonotonicClock, SystemMonotonicClock
from latency_failover.errors import (
    AllModelsFailed,
    FailoverError,
    IncompleteAnswer,
    MalformedAnswer,
    ModelNotPermitted,
    RetryOwnerConflict,
)
from latency_failover.meter import CallMeter, CloseCall, PlannedCall, PlannedModel
from latency_failover.model import FailoverModel
from latency_failover.policy import BreakerPolicy, FailoverPolicy, LatencyBudget, ModelPolicies, ModelPolicy, PolicyRule
from latency_failover.records import FailoverDecision, ModelAttempt
from latency_failover.replay import find_contradictions
from latency_failover.scope import BudgetRecord
from latency_failover.snapshot import Snapshot
from latency_failover.statistics import LatencyStats

__all__ = [
    "AllModelsFailed",
    "BreakerPolicy",
    "BudgetRecord",
    "CallMeter",
    "ClassifiedFailure",
    "CloseCall",
    "FailoverDecision",
    "FailoverError",
    "FailoverModel",
    "FailoverPolicy",
    "IncompleteAnswer",
    "LatencyBudget",
    "LatencyStats",
    "MalformedAnswer",
    "ModelAttempt",
    "ModelNotPermitted",
    "ModelPolicies",
    "ModelPolicy",
    "MonotonicClock",
    "PlannedCall",
    "PlannedModel",
    "PolicyRule",
    "RetryOwnerConflict",
    "Snapshot",
    "SystemMonotonicClock",
    "classify",
    "find_contradictions",
]
