"""Whether a person may be erased is decided from facts alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.catalogue import CATALOGUE
from switchyard.audit.erasure.erasure import (
    ErasureAllowed,
    ErasureDecision,
    ErasureDenied,
    ErasureNotNeeded,
    Footprint,
    build_erasure,
    decide_erasure,
)
from switchyard.protocol.topology import SUBMISSIONS, SUPPRESSIONS, dead_letter_queue_name, queue_name
from switchyard.runtime.crypto.erasure import KeyErasure, KeyState

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
ERASED = KeyErasure("acme", "ada", "asked to", NOW - timedelta(days=1))
PRESENT, GONE = KeyState(True, None), KeyState(False, ERASED)
BACK, NEVER = KeyState(True, ERASED), KeyState(False, None)
CASE = "11111111-1111-4111-8111-111111111111"


def footprint(**fields: Any) -> Footprint:
    known: dict[str, Any] = {
        "playbook": "assist",
        "case_ids": (CASE,),
        "events": 9,
        "has_policy": True,
        "duty_until": None,
        "citation": "12 CFR 1006.100(a)",
        "legal_holds": (),
    }
    return Footprint(**(known | fields))


@pytest.mark.parametrize(
    ("key", "receipted", "decision"),
    [
        (PRESENT, False, ErasureAllowed(None)),
        (NEVER, False, ErasureNotNeeded.PERSON_UNKNOWN),
        (GONE, False, ErasureAllowed(ERASED)),
        (GONE, True, ErasureNotNeeded.ALREADY_ERASED),
        (BACK, True, ErasureAllowed(ERASED)),
        (PRESENT, True, ErasureAllowed(None)),
    ],
)
def test_decision_follows_from_key_and_receipt(key: KeyState, receipted: bool, decision: ErasureDecision) -> None:
    assert decide_erasure(key, [footprint()], receipted=receipted, now=NOW) == decision


def test_longest_duty_denies_erasure_until_its_end() -> None:
    duties = [
        footprint(),
        footprint(playbook="outbound_email", duty_until=NOW + timedelta(days=400)),
        footprint(playbook="letters", duty_until=NOW + timedelta(days=40)),
    ]
    decision = decide_erasure(PRESENT, duties, receipted=False, now=NOW)
    assert isinstance(decision, ErasureDenied)
    assert decision.until == NOW + timedelta(days=400)
    assert "outbound_email" in decision.why
    assert "12 CFR 1006.100(a)" in decision.why


def test_ended_duty_allows_erasure() -> None:
    assert decide_erasure(PRESENT, [footprint(duty_until=NOW)], receipted=False, now=NOW) == ErasureAllowed(None)


@pytest.mark.parametrize(
    ("fields", "why"), [({"legal_holds": (CASE,)}, "legal hold"), ({"has_policy": False}, "no policy")]
)
def test_hold_or_missing_policy_denies_erasure_without_end(fields: dict[str, Any], why: str) -> None:
    decision = decide_erasure(PRESENT, [footprint(), footprint(**fields)], receipted=False, now=NOW)
    assert isinstance(decision, ErasureDenied)
    assert decision.until is None
    assert why in decision.why
    assert "switchyard audit retention" in decision.remedy


def test_begun_erasure_is_finished_despite_a_later_hold() -> None:
    assert decide_erasure(GONE, [footprint(legal_holds=(CASE,))], receipted=False, now=NOW) == ErasureAllowed(ERASED)


def test_receipt_lists_queue_copies_with_their_expiry() -> None:
    statement = build_erasure(CASE, [footprint()], CATALOGUE, at=NOW, operator="ada", reason="asked to")
    gone = {copies.queue: (copies.holds, copies.gone_by) for copies in statement.queues}
    assert gone[queue_name("audit")] == ("sealed events", "2026-07-08T12:00:00.000000Z")
    assert gone[dead_letter_queue_name("audit")] == ("sealed events", "2026-07-15T12:00:00.000000Z")
    assert gone[queue_name("case_manager")][0] == "sealed events"
    for lane in (*SUBMISSIONS, SUPPRESSIONS):
        assert "in the clear" in gone[queue_name("case_manager", lane)][0]
    assert "in the clear" in gone[dead_letter_queue_name("case_manager")][0]
    assert (statement.case_ids, statement.events) == ((CASE,), 9)
    assert statement.unreadable_by == "2026-07-01T12:00:30.000000Z"
