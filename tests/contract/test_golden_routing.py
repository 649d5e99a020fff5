"""A released graph routes the golden case as it did when the events were committed: ids, digests, seals and all."""

from __future__ import annotations

import json

import pytest

from switchyard.protocol.digest import event_digest
from switchyard.router.state_seal import StateSeal
from tests.reference import read_event, route
from tests.unit.protocol.bus_events import delivered, golden

SEAL = StateSeal({"golden": b"a published key, for tests alone"})


@pytest.mark.parametrize(
    ("event", "next_event"),
    [
        ("CaseOpened", "ChooseAgent"),
        ("AgentChosen", "AnswerQuestion"),
        ("FindingsReady", "DraftAnswer"),
        ("AnswerDrafted", "CloseCase"),
        ("EmailCaseOpened", "CheckContact"),
        ("ContactAllowed", "DraftEmail"),
        ("EmailDrafted", "ReviewEmail"),
        ("EmailPassed", "AskApproval"),
        ("ApprovalGranted", "CheckSending"),
        ("SendingAllowed", "SendEmail"),
        ("SendingDeferred", "Wait"),
    ],
)
def test_golden_event_is_routed_to_the_golden_next_event(event: str, next_event: str) -> None:
    (routed,) = route(read_event(delivered(golden(event)), node="router"), SEAL)
    expected = golden(next_event)
    del expected["occurred_at"], expected["trace"]
    assert json.loads(json.dumps(routed)) == expected
    assert event_digest(routed) == expected["digest"]
