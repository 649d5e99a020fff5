"""Queues and rules, derived from the catalogue. Pure: the local stack, terraform and their tests all read this."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from switchyard.protocol.catalogue import AUDIT, CASE_MANAGER, UPSTREAM_PREFIX, Catalogue
from switchyard.protocol.envelope import SOURCE_PREFIX
from switchyard.protocol.events.upstream import FeedbackGiven, ForgettingRequested, GrantRenewed, SuppressionRequested

BUS = "switchyard"
DEFAULT_BUS = "default"
"""AWS services put their own events here, and nowhere else."""

DAY_SECONDS = 86_400
RETENTION_SECONDS = 7 * DAY_SECONDS
DEAD_LETTER_RETENTION_SECONDS = 14 * DAY_SECONDS
VISIBILITY_SECONDS = 30
MAX_RECEIVES = 100
"""A high backstop: attempts are counted in the inbox, a receive is not an attempt."""

SUBMISSIONS = tuple(f"submissions-{number}" for number in range(1, 5))
SUPPRESSIONS = "suppressions"
"""Lanes of the case manager: what upstream systems send has queues of its own, so that approvals and endings, and
suppressions and renewed grants among the submissions, wait behind none of it. Submissions have several, by the first
character of their source's name: a flood fills one of them."""

REPORTS = tuple(report.__name__ for report in (SuppressionRequested, GrantRenewed, FeedbackGiven, ForgettingRequested))
"""What upstream systems report, beside what they submit."""

_LIVE: dict[str, Any] = {"replay-name": [{"exists": False}]}
"""EventBridge's own replay loses order; we replay from the log, and a live rule must not see its events."""


@dataclass(frozen=True)
class BusRule:
    """An EventBridge rule that delivers to one queue."""

    name: str
    pattern: dict[str, Any]
    queue: str
    bus: str = BUS

    @property
    def pattern_json(self) -> str:
        """The pattern as EventBridge takes it."""
        return json.dumps(self.pattern, sort_keys=True)


@dataclass(frozen=True)
class ConsumerQueues:
    """One consumer's queues, the dead-letter queue that they share, and its rules."""

    node: str
    queue: str
    dead_letter_queue: str
    rules: tuple[BusRule, ...]

    @property
    def lanes(self) -> tuple[str, ...]:
        """Its queues beside the first one, each filled by rules of its own."""
        return tuple(dict.fromkeys(rule.queue for rule in self.rules if rule.queue != self.queue))


def queue_name(node: str, lane: str | None = None) -> str:
    """The queue of `node`, or of one of its lanes."""
    return f"{BUS}-{node.replace('_', '-')}" + (f"-{lane}" if lane else "")


def dead_letter_queue_name(node: str) -> str:
    """The dead-letter queue of `node`."""
    return f"{queue_name(node)}-dlq"


def _rules(catalogue: Catalogue, node: str) -> tuple[BusRule, ...]:
    queue = queue_name(node)
    if node == AUDIT:
        return (BusRule(f"{BUS}-audit", {"source": [{"prefix": SOURCE_PREFIX}]} | _LIVE, queue),)
    if node in catalogue.observers:
        observed = catalogue.types_for(node)
        producers = sorted({producer for type_ in observed for producer in type_.producers})
        sources = [SOURCE_PREFIX + producer for producer in producers]
        return (BusRule(queue, {"source": sources, "detail-type": [type_.name for type_ in observed]} | _LIVE, queue),)
    addressed = BusRule(
        queue,
        {"source": [SOURCE_PREFIX + source for source in catalogue.sources_for(node)], "detail": {"node_to": [node]}}
        | _LIVE,
        queue,
    )
    if node != CASE_MANAGER:
        return (addressed,)
    types = [type_.name for type_ in catalogue.types_emitted_by(UPSTREAM_PREFIX)]
    submitted = [name for name in types if name not in REPORTS]
    reported = [name for name in REPORTS if name in types]
    rules = [addressed]
    if submitted:
        rules += [_upstream_rule(node, lane, submitted, _prefixes(lane)) for lane in SUBMISSIONS]
    if reported:
        rules.append(_upstream_rule(node, SUPPRESSIONS, reported, [UPSTREAM_PREFIX]))
    return tuple(rules)


def submission_lane(source: str) -> str:
    """The lane of an upstream's submissions."""
    return SUBMISSIONS[ord(source[len(UPSTREAM_PREFIX)]) % len(SUBMISSIONS)]


def _prefixes(lane: str) -> list[str]:
    sources = (UPSTREAM_PREFIX + chr(code) for code in range(ord("!"), ord("~") + 1))
    return [source for source in sources if submission_lane(source) == lane]


def _upstream_rule(node: str, lane: str, types: list[str], prefixes: list[str]) -> BusRule:
    pattern = {"source": [{"prefix": prefix} for prefix in prefixes], "detail-type": types} | _LIVE
    return BusRule(f"{BUS}-{lane}", pattern, queue_name(node, lane))


def consumers(catalogue: Catalogue) -> tuple[ConsumerQueues, ...]:
    """Every consumer, in the catalogue's order."""
    return tuple(
        ConsumerQueues(node, queue_name(node), dead_letter_queue_name(node), _rules(catalogue, node))
        for node in catalogue.nodes
    )


def consumer_of_rule(node: str, pattern: dict[str, Any], *, name: str, bus: str) -> ConsumerQueues:
    """The queue of a process that handles no event of the catalogue, and the one rule that fills it."""
    queue = queue_name(node)
    rule = BusRule(f"{queue}-{name}", pattern | _LIVE, queue, bus=bus)
    return ConsumerQueues(node, queue, dead_letter_queue_name(node), (rule,))
