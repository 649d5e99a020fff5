"""A join is valid only with its gather and the end of each branch as parents, and with their results."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from contracts.events.drafter import AnswerDrafted
from switchyard.audit.export.standalone import verify_bundle
from switchyard.audit.verification.findings import CaseVerdict, FindingKind
from switchyard.protocol.events.case_manager import CaseClosed
from switchyard.protocol.fields import Json
from tests.reference import derive_event, verify_case
from tests.unit.audit.cases import rewritten, stored
from tests.unit.protocol.bus_events import changed
from tests.unit.router.branch_cases import beginning, chosen, findings, followed, join, recalling
from tests.unit.router.cases import ANSWER, failed, received, reply, stamped

NOW = datetime(2026, 7, 1, 9, tzinfo=UTC)
EVENT = chosen()
GATHER, *COMMANDS = followed(EVENT)
ANSWERS = [findings(COMMANDS[0]), failed(COMMANDS[1]), findings(COMMANDS[2])]
ENDS = [followed(answer)[0] for answer in ANSWERS]
BEFORE = [*beginning(), EVENT, GATHER, *COMMANDS, *ANSWERS, *ENDS]
JOINED = join(GATHER, ENDS)


def ended(joined: Json) -> list[Json]:
    """The rest of the case after a join, as its producers would make it."""
    log = [joined]
    if joined["type"] == "BranchesJoined":
        (draft,) = followed(joined)
        log += [draft, reply(draft, AnswerDrafted(answer=ANSWER, cites=("F1",)), written=(ANSWER,))]
    close, *kept = followed(log[-1])
    outcome = close["payload"]["outcome"]
    closing = CaseClosed(outcome=outcome, code=outcome)
    return [*log, close, *kept, stamped(derive_event(received(close).envelope, closing, node_from="case_manager"))]


def verdict(events: list[Json]) -> CaseVerdict:
    return verify_case(stored(events), now=NOW)


def test_case_that_fanned_out_verifies() -> None:
    events = BEFORE + ended(JOINED)
    assert verdict(events).findings == ()
    assert list(verify_bundle.check_case_events(EVENT["case_id"], events)) == []


def test_case_of_which_every_branch_failed_verifies() -> None:
    answers = [failed(command) for command in COMMANDS]
    ends = [followed(answer)[0] for answer in answers]
    events = [*beginning(), EVENT, GATHER, *COMMANDS, *answers, *ends, *ended(join(GATHER, ends))]
    assert verdict(events).findings == ()
    assert list(verify_bundle.check_case_events(EVENT["case_id"], events)) == []


FORGERIES: dict[str, Callable[[], Json]] = {
    "a branch is left out": lambda: rewritten(JOINED, parents=JOINED["parents"][:-1]),
    "a branch is joined twice": lambda: rewritten(JOINED, parents=[*JOINED["parents"][:-1], JOINED["parents"][1]]),
    "the branches change places": lambda: rewritten(JOINED, parents=[JOINED["parents"][0], *JOINED["parents"][:0:-1]]),
    "an answer in place of a branch's end": lambda: rewritten(
        JOINED, parents=[GATHER["digest"], ANSWERS[0]["digest"], *JOINED["parents"][2:]]
    ),
    "a result is altered": lambda: rewritten(changed(JOINED, "payload.results", _altered())),
    "a failure is left out": lambda: rewritten(
        changed(JOINED, "payload.results", [*JOINED["payload"]["results"][:1], *JOINED["payload"]["results"][2:]])
    ),
}


def _altered() -> list[Json]:
    first, *others = JOINED["payload"]["results"]
    return [changed(first, "answer.rows", 999), *others]


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=list(FORGERIES))
def test_forged_join_is_a_finding(forge: Callable[[], Json]) -> None:
    forged = forge()
    kinds = {finding.kind for finding in verdict([*BEFORE, forged]).findings}
    assert FindingKind.JOIN_UNFOUNDED in kinds
    assert any("branch" in why for why in verify_bundle.check_case_events(EVENT["case_id"], [*BEFORE, forged]))


def test_failure_of_a_gather_with_a_result_is_a_finding() -> None:
    ends = [followed(failed(command))[0] for command in COMMANDS]
    failure = join(GATHER, ends)
    forged = rewritten(failure, parents=JOINED["parents"], seq=JOINED["seq"])
    assert {finding.kind for finding in verdict([*BEFORE, forged]).findings} == {FindingKind.JOIN_UNFOUNDED}


def test_join_under_another_id_is_a_finding() -> None:
    forged = rewritten(JOINED, event_id=EVENT["event_id"][:-4] + "0000")
    assert FindingKind.ID_NOT_DERIVED in {finding.kind for finding in verdict([*BEFORE, forged]).findings}


def test_several_parents_of_anything_but_a_join_are_a_finding() -> None:
    draft = followed(JOINED)[0]
    forged = rewritten(draft, parents=[JOINED["digest"], ENDS[0]["digest"]])
    assert FindingKind.JOIN_UNFOUNDED in {finding.kind for finding in verdict([*BEFORE, JOINED, forged]).findings}


@pytest.mark.parametrize("gone", ENDS, ids=["first", "second", "third"])
def test_removed_end_of_a_branch_is_a_missing_parent(gone: Json) -> None:
    events = [event for event in BEFORE if event is not gone] + ended(JOINED)
    assert FindingKind.MISSING_PARENT in {finding.kind for finding in verdict(events).findings}


# A gather with a time limit is joined without the branches that are late, and no other gather is.

REMEMBERING = recalling()
LATE_JOIN = join(REMEMBERING[1], [])
IN_TIME = join(REMEMBERING[1], [REMEMBERING[-1]])


def all_why(events: list[Json]) -> list[str]:
    """What each of the two verifiers says."""
    both = [finding.why for finding in verdict(events).findings]
    return [*both, *verify_bundle.check_case_events(events[0]["case_id"], events)]


@pytest.mark.parametrize("joined", [LATE_JOIN, IN_TIME], ids=["late", "in time"])
def test_join_of_a_gather_with_a_time_limit_verifies_with_and_without_its_branch(joined: Json) -> None:
    assert verdict([*REMEMBERING, joined, *followed(joined)]).findings == ()
    assert not [why for why in all_why([*REMEMBERING, joined, *followed(joined)]) if "branch" in why]


LATE_FORGERIES: dict[str, Callable[[], list[Json]]] = {
    "another failure than late": lambda: [
        *REMEMBERING,
        rewritten(changed(LATE_JOIN, "payload.results", [{"agent": "memory", "failure": {"code": "no_memory"}}])),
    ],
    "an invented answer": lambda: [
        *REMEMBERING,
        rewritten(changed(LATE_JOIN, "payload.results", [{"agent": "memory", "answer": {"tokens": 0, "used": []}}])),
    ],
    "late, though its end is joined": lambda: [
        *REMEMBERING, rewritten(changed(IN_TIME, "payload.results", LATE_JOIN["payload"]["results"])),
    ],
    "no result": lambda: [*REMEMBERING, rewritten(changed(LATE_JOIN, "payload.results", []))],
    "late in a gather without a time limit": lambda: [
        *BEFORE,
        rewritten(
            changed(
                changed(JOINED, "payload.results", [*JOINED["payload"]["results"][:2], _late()]),
                "parents",
                JOINED["parents"][:-1],
            )
        ),
    ],
}  # fmt: skip


def _late() -> Json:
    late: Json = JOINED["payload"]["results"][2] | {"answer": None} | LATE_JOIN["payload"]["results"][0]
    return late


@pytest.mark.parametrize("forge", LATE_FORGERIES.values(), ids=list(LATE_FORGERIES))
def test_forged_lateness_is_a_finding_of_both_verifiers(forge: Callable[[], list[Json]]) -> None:
    events = forge()
    assert FindingKind.JOIN_UNFOUNDED in {finding.kind for finding in verdict(events).findings}
    assert any("branch" in why for why in verify_bundle.check_case_events(events[0]["case_id"], events))
