"""Feedback of users: whose it is, that it is sealed, and that the log verifies with it."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from contracts.events.upstream import CaseSubmitted
from contracts.submissions import open_question
from switchyard.api.requests import Feedback
from switchyard.api.user_tokens import AuthenticatedUser
from switchyard.case_manager.feedback import MOST_PER_PERSON, FeedbackIntake
from switchyard.case_manager.intake import CaseIntake
from switchyard.ingress.principal import PrincipalSigner
from switchyard.protocol.errors import InvalidEvent, RejectionReason
from switchyard.protocol.fields import Artefact, Json, StorageRef
from switchyard.protocol.submissions import CaseOpening
from switchyard.runtime.crypto.vault import LocalKeyWrapper, Vault
from switchyard.runtime.database.connections import Database
from switchyard.runtime.storage.artefacts import Artefacts
from tests.integration.case_manager.conftest import (
    CONSENT_KEYS,
    CONSENT_SEED,
    CONSENT_SOURCE,
    USER,
    VAULT_KEY,
    CaseManager,
    close_case,
)
from tests.integration.case_manager.test_consents import signed
from tests.integration.conftest import PoolFor
from tests.integration.events import NOW, fresh_id
from tests.integration.infrastructure import Owner
from tests.integration.manual_clock import ManualClock

pytestmark = pytest.mark.integration


@pytest.fixture
def door(case_manager: CaseManager) -> CaseIntake:
    own = case_manager.intake
    return CaseIntake(own.submissions, own.store, own.openings, own.clock, own.mac, principals=CONSENT_KEYS)


@pytest.fixture
async def feedback(case_manager: CaseManager, pool_for: PoolFor, clock: ManualClock) -> FeedbackIntake:
    pool = await pool_for("case_manager")
    review = Vault(pool, LocalKeyWrapper(bytes.fromhex(VAULT_KEY)), clock, use="review")
    return FeedbackIntake(
        Database(pool, "the work database"),
        case_manager.closing.catalogue,
        clock,
        case_manager.intake.mac,
        case_manager.intake.openings.persons,
        CONSENT_KEYS,
        case_manager.vault,
        Artefacts(case_manager.artefacts._objects, review, decrypts=("feedback",)),
    )


@pytest.fixture
async def ended(case_manager: CaseManager, door: CaseIntake) -> list[Json]:
    """A case of the user that has ended."""
    [opened] = await door.open_case(CONSENT_SOURCE, signed(idempotency_key=fresh_id()), "CaseSubmitted")
    return [opened, *await case_manager.closing.close_case(close_case(opened))]


def given(
    case_id: str, *, user: str = USER, tenant: str = "acme", reviewer: bool = False, after_s: int = 0, **words: Any
) -> Json:
    """Feedback as the ingress puts it on the bus."""
    signer = PrincipalSigner(
        source=CONSENT_SOURCE,
        fetch=lambda: json.dumps({"k1": CONSENT_SEED.hex()}),
        now=lambda: NOW.timestamp() + after_s,
    )
    feedback_of = Feedback.model_validate({"case_id": case_id, "thumb": "down"} | words)
    caller = AuthenticatedUser(user, tenant, (), "token", {})
    statement = signer.signed_feedback(feedback_of, caller, reviewer=reviewer)
    return feedback_of.model_dump(exclude_none=True) | {"tenant": tenant, "statement": statement}


async def test_feedback_is_kept_as_a_child_of_the_ending_with_its_reason_sealed(
    feedback: FeedbackIntake, ended: list[Json]
) -> None:
    opened, closed = ended
    detail = given(opened["case_id"], reason="The Rattler is not mine")
    [event] = await feedback.receive(CONSENT_SOURCE, detail)
    assert event["parents"] == [closed["digest"]]
    assert "Rattler" not in json.dumps(event)
    payload = event["payload"]
    assert (payload["thumb"], payload["reviewer"], payload["by"]) == (
        "down",
        False,
        f"user:{opened['principal']['subject']}",
    )
    reason = Artefact.model_validate_json(json.dumps(payload["reason"]))
    places = {name: StorageRef.model_validate(place) for name, place in event["storage_refs"].items()}
    assert await feedback.artefacts.read_from(places, opened["case_id"], reason) == b"The Rattler is not mine"
    # Delivered again it is the same event; another word is a child of the first.
    assert await feedback.receive(CONSENT_SOURCE, detail) == [event]
    [second] = await feedback.receive(CONSENT_SOURCE, given(opened["case_id"], thumb="up"))
    assert second["parents"] == [event["digest"]]


@pytest.mark.parametrize("between", [{}, {"reason": "mine"}])
async def test_older_feedback_delivered_late_or_again_changes_nothing(
    feedback: FeedbackIntake, ended: list[Json], between: Json
) -> None:
    case_id = ended[0]["case_id"]
    first = given(case_id, thumb="down")
    assert len(await feedback.receive(CONSENT_SOURCE, first)) == 1
    assert len(await feedback.receive(CONSENT_SOURCE, given(case_id, thumb="up", after_s=5, **between))) == 1
    for late in (first, given(case_id, thumb="down", reason="from a queue", after_s=3)):
        assert await feedback.receive(CONSENT_SOURCE, late) == []
    assert len(await feedback.receive(CONSENT_SOURCE, given(case_id, thumb="down", after_s=9))) == 1


async def test_feedback_of_another_user_is_not_kept(feedback: FeedbackIntake, ended: list[Json], owner: Owner) -> None:
    case_id = ended[0]["case_id"]
    for detail in (
        given(case_id, user="mallory"),
        given(case_id, tenant="other"),
        given(case_id, tenant="other", reviewer=True),
        given(fresh_uuid()),
    ):
        assert await feedback.receive(CONSENT_SOURCE, detail) == []
    assert await owner.fetchval("select count(*) from case_manager.feedback") == 0


async def test_reviewer_of_the_tenant_is_kept_as_one(feedback: FeedbackIntake, ended: list[Json]) -> None:
    [event] = await feedback.receive(CONSENT_SOURCE, given(ended[0]["case_id"], user="rita", reviewer=True, reason="x"))
    assert event["payload"]["reviewer"] is True
    assert event["payload"]["by"] != f"user:{ended[0]['principal']['subject']}"
    assert "rita" not in json.dumps(event)


async def test_feedback_on_an_open_case_is_not_kept(feedback: FeedbackIntake, door: CaseIntake) -> None:
    [opened] = await door.open_case(CONSENT_SOURCE, signed(idempotency_key=fresh_id()), "CaseSubmitted")
    assert await feedback.receive(CONSENT_SOURCE, given(opened["case_id"])) == []


async def test_feedback_that_the_ingress_did_not_sign_so_is_forged(feedback: FeedbackIntake, ended: list[Json]) -> None:
    detail = given(ended[0]["case_id"], reason="good")
    other = given(ended[0]["case_id"], user="mallory")
    for forged in (
        detail | {"thumb": "up"},
        detail | {"reason": "bad"},
        detail | {"case_id": fresh_uuid()},
        detail | {"tenant": "other"},
        detail | {"statement": detail["statement"][:-4] + "AAAA"},
        detail | {"statement": other["statement"]},
    ):
        with pytest.raises(InvalidEvent) as refused:
            await feedback.receive(CONSENT_SOURCE, forged)
        assert refused.value.reason is RejectionReason.FORGED
    with pytest.raises(InvalidEvent):
        await feedback.receive("upstream.other", detail)


async def test_feedback_of_one_person_is_bounded_and_leaves_room_for_a_reviewer(
    feedback: FeedbackIntake, ended: list[Json], owner: Owner
) -> None:
    case_id = ended[0]["case_id"]
    for number in range(MOST_PER_PERSON + 5):
        await feedback.receive(CONSENT_SOURCE, given(case_id, reason=f"word {number}"))
    assert await owner.fetchval("select count(*) from case_manager.feedback") == MOST_PER_PERSON
    assert len(await feedback.receive(CONSENT_SOURCE, given(case_id, user="rita", reviewer=True))) == 1


async def test_user_hears_why_a_submission_was_rejected_later(door: CaseIntake, owner: Owner) -> None:
    def of_another_release(submitted: CaseSubmitted) -> CaseOpening:
        """The ingress knows a specialist that the case manager does not."""
        return open_question(submitted.model_copy(update={"agent": None}))

    detail = signed(of_another_release, idempotency_key=fresh_id(), agent="nobody_of_that_name")
    await door.open_case(CONSENT_SOURCE, detail, "CaseSubmitted")
    rows = await owner.fetch("select * from case_manager.rejected_submission")
    [row] = [each for each in rows if each["field"] == "agent"]
    assert row["person"] == door.openings.persons.person("acme", USER)
    assert row["remedy"]
    # Submissions of systems, and those whose statement is forged, leave none.
    await door.open_case("upstream.jobs", {"tenant": "acme"}, "CaseSubmitted")
    await door.open_case(CONSENT_SOURCE, detail | {"principal": "a.b.c"}, "CaseSubmitted")
    assert await owner.fetchval("select count(*) from case_manager.rejected_submission") == len(rows)


def fresh_uuid() -> str:
    return str(uuid.uuid4())
