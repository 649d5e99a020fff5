"""Who asks, signed by the ingress and checked at intake: what becomes of a submission that does not prove it."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import structlog

from contracts.events.upstream import CaseSubmitted
from contracts.submissions import open_question
from switchyard.case_manager.intake import CaseIntake
from switchyard.case_manager.principals import PRINCIPAL_LEEWAY_S, PrincipalKeys
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.commands.audit.verify_principal import verify_principal_statement
from switchyard.devstack.stack.provision import OBJECT_BUCKET
from switchyard.ingress.principal import PrincipalSigner, bus_payload
from switchyard.protocol.canonical import parse_json
from switchyard.protocol.fields import Json, StorageRef
from switchyard.protocol.principals import PRINCIPAL_VALID_S
from switchyard.protocol.signing import derive_public_key
from switchyard.protocol.submissions import case_id_for
from switchyard.runtime.storage.artefacts import Artefacts
from switchyard.runtime.storage.objects import S3Objects
from tests.grants import granted
from tests.integration.case_manager.conftest import SOURCE, USER, CaseManager, Serve, StartCaseManager, submission
from tests.integration.cloud import Cloud, Tap, until
from tests.integration.events import NOW, bus_body, fresh_id
from tests.integration.infrastructure import Owner
from tests.integration.manual_clock import ManualClock
from tests.reference import read_event

pytestmark = pytest.mark.integration

INGRESS = "upstream.ingress"
SEED, OTHER_SEED = b"\x01" * 32, b"\x02" * 32
PUBLIC = {INGRESS: {"2026-11": bytes.fromhex(derive_public_key(SEED))}}
KEYS = PrincipalKeys(PUBLIC)
EMAIL = Path(__file__).parents[2] / "contract" / "golden" / "EmailCaseSubmitted.v1.json"


def signed(
    sent: Json, *, seed: bytes = SEED, kid: str = "2026-11", source: str = INGRESS, at: float | None = None
) -> Json:
    """A submission as the ingress puts it on the bus."""
    now = NOW.timestamp() if at is None else at
    signer = PrincipalSigner(source=source, fetch=lambda: json.dumps({kid: seed.hex()}), now=lambda: now)
    asked = CaseSubmitted.model_validate(sent)
    if asked.role is not None:
        grant = granted(asked, source=source, seed=seed, kid=kid, at=int(now))
        asked = asked.model_copy(update={"grant": grant})
    return parse_json(json.dumps(bus_payload(signer.signed(asked, open_question))))


@pytest.fixture
def intake(case_manager: CaseManager) -> CaseIntake:
    """That of a case manager which has the ingress's key."""
    return replace(case_manager.intake, principals=KEYS)


async def refused(intake: CaseIntake, detail: Json, detail_type: str = "CaseSubmitted") -> tuple[str, list[str]]:
    """The code of the rejection, and the alarms that were raised."""
    with structlog.testing.capture_logs() as logged:
        [event] = await intake.open_case(INGRESS, detail, detail_type)
    assert (event["type"], event["node_to"]) == ("SubmissionRejected", "external")
    assert (event["payload"]["field"], event["payload"]["submitted_by"]) == ("principal", INGRESS)
    assert event["payload"]["remedy"]
    assert USER not in json.dumps(event)
    return event["payload"]["code"], [line["alarm"] for line in logged if "alarm" in line]


async def opens(intake: CaseIntake, detail: Json) -> Json:
    """The case's first event."""
    [event] = await intake.open_case(INGRESS, detail, "CaseSubmitted")
    assert event["type"] == "CaseOpened"
    return event


async def test_signed_submission_opens_a_case_that_names_its_key(intake: CaseIntake) -> None:
    event = await opens(intake, signed(submission(role="ANALYST")))
    received = read_event(bus_body(event), node="router")
    assert received.envelope.principal.scopes == ("role:ANALYST",)
    attested = event["payload"]["attested"]
    assert (attested["kid"], attested["statement"]["name"]) == ("2026-11", "principal")
    assert attested["statement"]["subject"] == event["principal"]["subject"]


async def test_principal_statement_is_sealed(intake: CaseIntake, owner: Owner) -> None:
    detail = signed(submission())
    event = await opens(intake, detail)
    dump = json.dumps(event) + await owner.fetchval("select event from case_manager.outbox")
    body = detail["principal"].split(".")[1]
    assert body not in dump
    assert base64.b64encode(detail["principal"].encode()).decode() not in dump
    assert USER not in dump


async def test_submission_without_a_required_statement_is_refused(intake: CaseIntake) -> None:
    sent = submission()
    assert await refused(intake, sent) == ("principal_missing", ["integrity"])
    assert await opens(intake, signed(sent))


async def test_statement_of_another_or_unknown_key_is_refused(intake: CaseIntake) -> None:
    sent = submission()
    assert await refused(intake, signed(sent, seed=OTHER_SEED)) == ("principal_forged", ["integrity"])
    assert await refused(intake, signed(sent, kid="2026-12")) == ("principal_unknown_key", ["integrity"])
    assert await refused(intake, signed(sent, source=SOURCE)) == ("principal_foreign", ["integrity"])
    assert await opens(intake, signed(sent))


@pytest.mark.parametrize("changes", [{"question": "Another?"}, {"user_id": "mallory"}, {"role": "ACCOUNTADMIN"}])
async def test_statement_for_another_submission_is_refused(intake: CaseIntake, changes: Json) -> None:
    detail = signed(submission(role="ANALYST"))
    assert await refused(intake, detail | changes) == ("principal_mismatch", ["integrity"])
    assert await opens(intake, detail)


async def test_statement_with_another_idempotency_key_opens_no_second_case(intake: CaseIntake) -> None:
    detail = signed(submission())
    await opens(intake, detail)
    assert await refused(intake, detail | {"idempotency_key": fresh_id()}) == ("principal_mismatch", ["integrity"])


async def test_late_statement_is_rejected_without_alarm_and_may_be_resent(
    intake: CaseIntake, clock: ManualClock
) -> None:
    detail = signed(submission())
    clock.advance(PRINCIPAL_VALID_S + 60)
    assert await refused(intake, detail) == ("principal_expired", [])
    again = signed({name: value for name, value in detail.items() if name != "principal"}, at=clock.now().timestamp())
    event = await opens(intake, again)
    assert event["case_id"] == case_id_for("acme", INGRESS, USER, detail["idempotency_key"])


async def test_statement_signed_in_the_future_is_refused(intake: CaseIntake) -> None:
    detail = signed(submission(), at=(NOW + timedelta(hours=1)).timestamp())
    assert await refused(intake, detail) == ("principal_not_yet_valid", [])


async def test_recorded_case_redelivered_late_is_published(
    intake: CaseIntake, start_case_manager: StartCaseManager, clock: ManualClock
) -> None:
    detail = signed(submission())
    first = await opens(intake, detail)
    clock.advance(7 * 86_400)
    another = replace((await start_case_manager()).intake, principals=KEYS)
    assert await opens(another, detail) == first


async def test_recorded_case_with_withdrawn_key_is_published(
    intake: CaseIntake,
) -> None:
    detail = signed(submission())
    first = await opens(intake, detail)
    without = replace(intake, principals=PrincipalKeys({INGRESS: {}}))
    assert await opens(without, detail) == first
    assert await refused(without, detail | {"question": "Another?"}) == ("principal_unknown_key", ["integrity"])


async def test_statement_expiring_during_sealing_opens_no_case(
    intake: CaseIntake, clock: ManualClock, owner: Owner
) -> None:
    detail = signed(submission())
    clock.advance(PRINCIPAL_VALID_S + PRINCIPAL_LEEWAY_S + 1)
    slow = replace(intake, clock=ManualClock(clock.now() - timedelta(seconds=2)))
    assert await refused(slow, detail) == ("principal_expired", [])
    assert await owner.fetchval("select count(*) from case_manager.submission") == 0


async def test_submission_signed_again_is_same_case(intake: CaseIntake, clock: ManualClock) -> None:
    sent = submission()
    first = await opens(intake, signed(sent))
    clock.advance(60)
    assert await opens(intake, signed(sent, at=clock.now().timestamp())) == first
    [event] = await intake.open_case(
        INGRESS, signed(sent | {"question": "Another?"}, at=clock.now().timestamp()), "CaseSubmitted"
    )
    assert event["payload"]["code"] == "submission_conflict"


async def test_email_of_a_source_that_must_sign_needs_a_statement(
    intake: CaseIntake, case_manager: CaseManager
) -> None:
    sent = parse_json(EMAIL.read_bytes()) | {"idempotency_key": fresh_id()}
    assert await refused(intake, sent, "EmailCaseSubmitted") == ("principal_missing", ["integrity"])
    [event] = await case_manager.intake.open_case(INGRESS, sent, "EmailCaseSubmitted")
    assert event["type"] == "EmailCaseOpened"


async def test_source_without_keys_opens_a_case_without_attestation(intake: CaseIntake) -> None:
    for detail in (submission(), signed(submission(), seed=OTHER_SEED)):
        [event] = await intake.open_case(SOURCE, detail, "CaseSubmitted")
        assert event["type"] == "CaseOpened"
        assert "attested" not in event["payload"]


@pytest.fixture
def opener(case_manager: CaseManager, cloud: Cloud) -> Artefacts:
    """An auditor who may open what is sealed."""
    return Artefacts(S3Objects(cloud.s3, OBJECT_BUCKET), case_manager.vault, decrypts=("question", "principal"))


async def test_auditor_verifies_the_user_of_a_case_from_the_log(intake: CaseIntake, opener: Artefacts) -> None:
    event = await opens(intake, signed(submission(role="ANALYST")))
    claims, kid = await verify_principal_statement(event, opener, KEYS)
    assert (claims.sub, claims.role, kid) == (USER, "ANALYST", "2026-11")


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("session_id",), "session-2", "session_id"),
        (("tenant",), "globex", "tenant"),
        (("principal", "subject"), str(UUID(int=7)), "subject"),
        (("principal", "scopes"), ["role:ACCOUNTADMIN"], "role"),
        (("payload", "attested", "kid"), "another", "kid"),
        (("payload", "agent"), "another", "digest"),
        (("payload", "attested", "statement_sha256"), "0" * 64, "the statement is not the one"),
        (("payload", "submitted_by"), SOURCE, "principal_unknown_key"),
    ],
)
async def test_auditor_finds_a_difference_from_the_statement(
    intake: CaseIntake, opener: Artefacts, path: tuple[str, ...], value: Any, named: str
) -> None:
    event = await opens(intake, signed(submission(role="ANALYST")))
    assert await verify_principal_statement(event, opener, KEYS)
    place = event
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(CommandFailed, match=named):
        await verify_principal_statement(event, opener, KEYS)


async def test_auditor_finds_another_question_than_the_signed_one(
    intake: CaseIntake, opener: Artefacts, case_manager: CaseManager
) -> None:
    event = await opens(intake, signed(submission()))
    question, place = await case_manager.artefacts.store(
        event["case_id"], "question", b"Another?", media_type="text/plain", subject=event["principal"]["subject"]
    )
    event["payload"]["question"] = question.model_dump(mode="json")
    event["storage_refs"][question.sha256] = StorageRef.model_dump(place, mode="json", exclude_none=True)
    with pytest.raises(CommandFailed, match="content_sha256"):
        await verify_principal_statement(event, opener, KEYS)


async def test_auditor_finds_a_statement_expired_at_intake(intake: CaseIntake, opener: Artefacts) -> None:
    event = await opens(intake, signed(submission()))
    event["occurred_at"] = "2040-01-01T00:00:00Z"
    with pytest.raises(CommandFailed, match="principal_expired"):
        await verify_principal_statement(event, opener, KEYS)


async def test_forged_submission_on_the_bus_is_rejected_and_a_signed_one_opens(
    serve: Serve, cloud: Cloud, tap: Tap, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = {source: {kid: key.hex() for kid, key in keys.items()} for source, keys in PUBLIC.items()}
    monkeypatch.setenv("SWITCHYARD_PRINCIPAL_KEYS", json.dumps(public))
    await serve("case_manager")
    sent = submission(tenant=fresh_id())
    await cloud.put(signed(sent, seed=OTHER_SEED), source=INGRESS, detail_type="CaseSubmitted")

    async def rejected() -> bool:
        codes = {
            event["payload"].get("code")
            for event in await tap.seen("case_manager")
            if event["tenant"] == sent["tenant"]
        }
        return codes == {"principal_forged"}

    await until(rejected, "a rejection on the bus")
    await cloud.put(signed(sent, at=time.time()), source=INGRESS, detail_type="CaseSubmitted")
    [event] = await tap.next("case_manager", case_id_for(sent["tenant"], INGRESS, USER, sent["idempotency_key"]))
    assert event["payload"]["attested"]["kid"] == "2026-11"
