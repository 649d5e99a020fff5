"""Queues and rules, derived from the catalogue. Pure: the local stack, terraform and their tests all read this."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from contracts.catalogue import AUDIT, CASE_MANAGER, NODES, UPSTREAM_PREFIX, allowed_sources, types_emitted_by
from switchyard.protocol.envelope import SOURCE_PREFIX

BUS = "switchyard"
EMAIL_FEEDBACK = "email_feedback"
"""The process that takes what the mail provider reports. No node: it knows no case and handles no event of ours."""

DEFAULT_BUS = "default"
"""AWS services put their own events here, and nowhere else."""

DAY_SECONDS = 86_400
RETENTION_SECONDS = 7 * DAY_SECONDS
DEAD_LETTER_RETENTION_SECONDS = 14 * DAY_SECONDS
VISIBILITY_SECONDS = 30
MAX_RECEIVES = 100
"""A high backstop: attempts are counted in the inbox, a receive is not an attempt."""

_LIVE: dict[str, Any] = {"replay-name": [{"exists": False}]}
"""EventBridge's own replay loses order; we replay from the log, and a live rule must not see its events."""


@dataclass(frozen=True)
class BusRule:
    """An EventBridge rule that delivers to one queue."""

    name: str
    pattern: dict[str, Any]
    bus: str = BUS

    @property
    def pattern_json(self) -> str:
        """The pattern as EventBridge takes it."""
        return json.dumps(self.pattern, sort_keys=True)


@dataclass(frozen=True)
class ConsumerQueues:
    """One consumer's queue, its dead-letter queue and its rules."""

    node: str
    queue: str
    dead_letter_queue: str
    rules: tuple[BusRule, ...]


def queue_name(node: str) -> str:
    """The queue of `node`."""
    return f"{BUS}-{node.replace('_', '-')}"


def dead_letter_queue_name(node: str) -> str:
    """The dead-letter queue of `node`."""
    return f"{queue_name(node)}-dlq"


def _rules(node: str) -> tuple[BusRule, ...]:
    if node == AUDIT:
        return (BusRule(f"{BUS}-audit", {"source": [{"prefix": SOURCE_PREFIX}]} | _LIVE),)
    addressed = BusRule(
        queue_name(node),
        {"source": [SOURCE_PREFIX + source for source in allowed_sources(node)], "detail": {"node_to": [node]}} | _LIVE,
    )
    if node != CASE_MANAGER:
        return (addressed,)
    submitted = {
        "source": [{"prefix": UPSTREAM_PREFIX}],
        "detail-type": [type_.name for type_ in types_emitted_by(UPSTREAM_PREFIX)],
    } | _LIVE
    return (addressed, BusRule(f"{BUS}-submissions", submitted))


def consumers() -> tuple[ConsumerQueues, ...]:
    """Every consumer, in the catalogue's order."""
    return tuple(ConsumerQueues(node, queue_name(node), dead_letter_queue_name(node), _rules(node)) for node in NODES)


def feedback_consumer() -> ConsumerQueues:
    """The queue of SES's bounces and complaints, under the detail-types that SES gives them."""
    reported = {"source": ["aws.ses"], "detail-type": ["Email Bounced", "Email Complaint Received"]} | _LIVE
    rule = BusRule(f"{queue_name(EMAIL_FEEDBACK)}-feedback", reported, bus=DEFAULT_BUS)
    return ConsumerQueues(EMAIL_FEEDBACK, queue_name(EMAIL_FEEDBACK), dead_letter_queue_name(EMAIL_FEEDBACK), (rule,))
