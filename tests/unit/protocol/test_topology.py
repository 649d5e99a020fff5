"""Every queue gets exactly the events that the catalogue says, by the rules that EventBridge evaluates."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import product
from typing import Any

import pytest

from contracts.catalogue import CATALOGUE
from switchyard.protocol.catalogue import AUDIT, CASE_MANAGER, EXTERNAL, UPSTREAM_PREFIX
from switchyard.protocol.topology import (
    DEAD_LETTER_RETENTION_SECONDS,
    MAX_RECEIVES,
    RETENTION_SECONDS,
    SUBMISSIONS,
    VISIBILITY_SECONDS,
    ConsumerQueues,
    queue_name,
    submission_lane,
)
from tests.reference import consumers
from tests.unit.protocol.event_patterns import matches

QUEUE_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
RULE_NAME = re.compile(r"[.\-_A-Za-z0-9]{1,64}")
FLOWS = {flow for type_ in CATALOGUE.types for flow in type_.flows if flow[0] != UPSTREAM_PREFIX}

each_consumer = pytest.mark.parametrize("consumer", [pytest.param(found, id=found.node) for found in consumers()])


def receivers(event: dict[str, Any]) -> set[str]:
    """The nodes to whose queues the bus delivers an event."""
    return {consumer.node for consumer in consumers() if any(matches(rule.pattern, event) for rule in consumer.rules)}


def on_the_bus(source: str, type_: str, node_to: str) -> dict[str, Any]:
    return {"source": source, "detail-type": type_, "detail": {"node_to": node_to, "type": type_}}


def test_node_is_a_consumer_once() -> None:
    assert tuple(consumer.node for consumer in consumers()) == CATALOGUE.nodes
    assert len(set(CATALOGUE.nodes)) == len(CATALOGUE.nodes)


@each_consumer
def test_consumer_has_queue_dead_letter_queue_and_rule(consumer: ConsumerQueues) -> None:
    assert QUEUE_NAME.fullmatch(consumer.queue)
    assert QUEUE_NAME.fullmatch(consumer.dead_letter_queue)
    assert consumer.dead_letter_queue != consumer.queue
    assert consumer.rules


def queues_of(event: dict[str, Any]) -> set[str]:
    """The queues to which the bus delivers an event."""
    return {rule.queue for consumer in consumers() for rule in consumer.rules if matches(rule.pattern, event)}


def test_submissions_suppressions_and_router_events_have_a_queue_each() -> None:
    queue = queue_name(CASE_MANAGER)
    for type_ in ("CaseSubmitted", "EmailCaseSubmitted"):
        assert queues_of(on_the_bus("upstream.portal", type_, "")) == {f"{queue}-submissions-1"}
    assert queues_of(on_the_bus("upstream.portal", "SuppressionRequested", "")) == {f"{queue}-suppressions"}
    for type_ in ("AskApproval", "CloseCase", "Wait"):
        assert queues_of(on_the_bus("switchyard.router", type_, CASE_MANAGER)) == {queue, queue_name(AUDIT)}


def test_submissions_of_a_source_have_one_queue_and_sources_are_spread_over_all() -> None:
    sources = [f"upstream.{chr(code)}{rest}" for code in range(ord("!"), ord("~") + 1) for rest in ("", "x", ".1")]
    lanes = {source: queues_of(on_the_bus(source, "CaseSubmitted", "")) for source in sources}
    assert lanes == {source: {queue_name(CASE_MANAGER, submission_lane(source))} for source in sources}
    assert Counter(lane for found in lanes.values() for lane in found).keys() == {
        queue_name(CASE_MANAGER, lane) for lane in SUBMISSIONS
    }


def test_consumers_have_different_names() -> None:
    queues = [name for each in consumers() for name in (each.queue, *each.lanes, each.dead_letter_queue)]
    rules = [rule.name for consumer in consumers() for rule in consumer.rules]
    assert len(set(queues)) == len(queues)
    assert len(set(rules)) == len(rules)


@each_consumer
def test_rule_is_within_the_limits_of_eventbridge(consumer: ConsumerQueues) -> None:
    for rule in consumer.rules:
        assert RULE_NAME.fullmatch(rule.name)
        assert len(rule.pattern_json) <= 2_048
        assert json.loads(rule.pattern_json) == rule.pattern


@pytest.mark.parametrize(
    ("type_", "source", "target"),
    [
        (type_.name, source, target)
        for type_ in CATALOGUE.types
        for source, target in type_.flows
        if source != UPSTREAM_PREFIX
    ],
)
def test_event_reaches_its_consumer_and_audit_only(type_: str, source: str, target: str) -> None:
    observers = next(set(each.observers) for each in CATALOGUE.types if each.name == type_)
    assert receivers(on_the_bus(f"switchyard.{source}", type_, target)) == ({target} - {EXTERNAL}) | {AUDIT} | observers


@pytest.mark.parametrize(
    ("source", "target"), [pair for pair in product(CATALOGUE.nodes, CATALOGUE.nodes) if pair not in FLOWS]
)
def test_event_between_nodes_without_a_flow_reaches_audit_only(source: str, target: str) -> None:
    assert receivers(on_the_bus(f"switchyard.{source}", "Anything", target)) == {AUDIT}


def test_submission_reaches_the_case_manager_only() -> None:
    submitted = {"source": "upstream.portal", "detail-type": "CaseSubmitted", "detail": {"question": "plain text"}}
    assert receivers(submitted) == {CASE_MANAGER}


@pytest.mark.parametrize("node", CATALOGUE.nodes)
def test_event_of_an_upstream_with_a_node_reaches_no_queue(node: str) -> None:
    assert receivers(on_the_bus("upstream.portal", "CloseCase", node)) == set()


@pytest.mark.parametrize("source", ["switchyard", "switchyardx.router", "Switchyard.router", "aws.s3", "xupstream.a"])
@pytest.mark.parametrize("node", CATALOGUE.nodes)
def test_event_of_a_foreign_source_reaches_no_queue(source: str, node: str) -> None:
    assert receivers(on_the_bus(source, "CaseSubmitted", node)) == set()


@pytest.mark.parametrize("flow", sorted(FLOWS))
def test_events_replayed_by_eventbridge_have_no_receiver(flow: tuple[str, str]) -> None:
    event = on_the_bus(f"switchyard.{flow[0]}", "Anything", flow[1])
    assert receivers(event | {"replay-name": "yesterday"}) == set()


def test_replayed_submissions_have_no_receiver() -> None:
    event = on_the_bus("upstream.portal", "CaseSubmitted", "")
    assert receivers(event | {"replay-name": "yesterday"}) == set()


def test_dead_letters_outlive_the_queue_within_the_limits_of_sqs() -> None:
    assert 60 <= RETENTION_SECONDS < DEAD_LETTER_RETENTION_SECONDS <= 14 * 86_400
    assert 0 < VISIBILITY_SECONDS <= 43_200
    assert 1 <= MAX_RECEIVES <= 1_000
