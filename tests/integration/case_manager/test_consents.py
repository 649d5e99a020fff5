"""A case waits for its user's consent, and goes on when the grant is renewed."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from contracts.events.triage import AgentsChosen
from contracts.events.upstream import CaseSubmitted
from contracts.submissions import open_question
from switchyard.case_manager.intake import CaseIntake
from switchyard.case_manager.pending_commands import JOIN_MARGIN
from switchyard.ingress.principal import PrincipalSigner, bus_payload
from switchyard.protocol.branches import PlannedBranch
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.events.failures import ReauthNeeded
from switchyard.protocol.fields import Json
from switchyard.protocol.grants import GrantClaims, service_grant_id
from switchyard.protocol.principal_jws import import_private_key, sign_grant
from switchyard.protocol.received import ReceivedEvent
from switchyard.protocol.submissions import OpenCase
from switchyard.runtime.core.clock import moment
from tests.integration.case_manager.conftest import (
    CONSENT_KEYS,
    CONSENT_SEED,
    CONSENT_SOURCE,
    CONSENT_URL,
    SOURCE,
    USER,
    CaseManager,
    submission,
)
from tests.integration.events import NOW, fresh_id
from tests.integration.infrastructure import Owner
from tests.integration.manual_clock import ManualClock
from tests.unit.router.branch_cases import PARTS, findings, followed
from tests.unit.router.cases import received, reply, routed

pytestmark = pytest.mark.integration

WAREHOUSE = "https://warehouse.example"


def grant(jti: str, *, seed: bytes = CONSENT_SEED, **changed: Any) -> str:
    """A user's grant, as the ingress signs it."""
    values: dict[str, Any] = {
        "iss": CONSENT_SOURCE,
        "jti": jti,
        "sub": USER,
        "tenant": "acme",
        "agents": ("text_to_sql",),
        "scopes": ("session:role:ANALYST",),
        "audiences": (WAREHOUSE,),
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 3_600,
    }
    return sign_grant(GrantClaims.model_validate(values | changed), "k1", import_private_key(seed))


def signed(open_case: OpenCase = open_question, /, **changes: Any) -> Json:
    """A submission as the ingress puts it on the bus, by what it knows of the case that follows."""
    signer = PrincipalSigner(
        source=CONSENT_SOURCE, fetch=lambda: json.dumps({"k1": CONSENT_SEED.hex()}), now=NOW.timestamp
    )
    return dict(bus_payload(signer.signed(CaseSubmitted.model_validate(submission(**changes)), open_case)))


@pytest.fixture
def intake(case_manager: CaseManager) -> CaseIntake:
    """Intake that wants the ingress to sign."""
    return CaseIntake(
        case_manager.intake.submissions,
        case_manager.intake.store,
        case_manager.intake.openings,
        case_manager.intake.clock,
        case_manager.intake.mac,
        principals=CONSENT_KEYS,
        turns=case_manager.intake.turns,
    )


async def opened(intake: CaseIntake, statement: str | None) -> Json:
    changes = {} if statement is None else {"grant": statement}
    detail = signed(agent="text_to_sql", idempotency_key=fresh_id(), **changes)
    [event] = await intake.open_case(CONSENT_SOURCE, detail, "CaseSubmitted")
    return event


async def asked(intake: CaseIntake, jti: str) -> Json:
    """AskConsent of a case whose agent needs consent."""
    command = routed(await opened(intake, grant(jti)))
    return routed(reply(command, ReauthNeeded(audience=WAREHOUSE)))


async def request(case_manager: CaseManager, command: Json) -> list[Json]:
    """What the case manager answers to AskConsent."""
    event: ReceivedEvent[Any] = received(command)
    return await case_manager.consents.request_consent(event)


async def test_grant_of_a_submission_is_recorded_with_its_case(intake: CaseIntake) -> None:
    jti = fresh_id()
    event = await opened(intake, grant(jti))
    assert event["principal"]["grant_ref"] == jti
    assert event["payload"]["attested"]["grant"]["subject"] == event["principal"]["subject"]


async def test_submission_of_a_source_that_signs_without_a_grant_has_none(intake: CaseIntake) -> None:
    assert "grant_ref" not in (await opened(intake, None))["principal"]


async def test_submission_of_a_source_that_does_not_sign_has_the_sources_own(case_manager: CaseManager) -> None:
    event = await case_manager.submit(grant=grant(fresh_id()))
    assert event["principal"]["grant_ref"] == service_grant_id(SOURCE)


@pytest.mark.parametrize(
    "changed", [{"sub": "ben"}, {"tenant": "other"}, {"iss": "upstream.other"}, {"seed": b"\x02" * 32}]
)
async def test_grant_of_another_user_or_signer_is_rejected(intake: CaseIntake, changed: dict[str, Any]) -> None:
    event = await opened(intake, grant(fresh_id(), **changed))
    assert event["type"] == "SubmissionRejected"
    assert event["payload"]["code"].startswith(("principal_", "grant_"))


async def test_case_waits_for_consent_and_goes_on_with_the_renewed_grant(
    case_manager: CaseManager, intake: CaseIntake
) -> None:
    jti = fresh_id()
    command = await asked(intake, jti)
    [requested] = await request(case_manager, command)
    assert (requested["type"], requested["node_to"]) == ("ConsentRequested", "external")
    assert requested["payload"] | {"until": ""} == {
        "grant": jti,
        "audience": WAREHOUSE,
        "url": CONSENT_URL,
        "until": "",
    }
    assert await request(case_manager, command) == [requested]

    [granted] = await case_manager.consents.renew(CONSENT_SOURCE, {"tenant": "acme", "grant": grant(jti)})
    again = routed(granted)
    assert (again["type"], again["node_to"]) == ("AnswerQuestion", "text_to_sql")
    assert await case_manager.consents.renew(CONSENT_SOURCE, {"tenant": "acme", "grant": grant(jti)}) == []
    assert await request(case_manager, command) == [granted]


async def test_renewal_of_another_grant_answers_nothing(case_manager: CaseManager, intake: CaseIntake) -> None:
    command = await asked(intake, fresh_id())
    await request(case_manager, command)
    assert await case_manager.consents.renew(CONSENT_SOURCE, {"tenant": "acme", "grant": grant(fresh_id())}) == []


@pytest.mark.parametrize("path", ["{pinned,tenant}", "{pinned,principal,sub}"])
async def test_renewal_answers_no_case_of_another_tenant_or_source(
    case_manager: CaseManager, intake: CaseIntake, owner: Owner, path: str
) -> None:
    jti = fresh_id()
    command = await asked(intake, jti)
    await request(case_manager, command)
    await owner.execute(
        "update case_manager.submission set facts = jsonb_set(facts::jsonb, $2::text[], '\"service:other\"')::text"
        " where case_id = $1",
        command["case_id"],
        path.strip("{}").split(","),
    )
    assert await case_manager.consents.renew(CONSENT_SOURCE, {"tenant": "acme", "grant": grant(jti)}) == []


async def test_renewal_with_an_expired_grant_answers_nothing(
    case_manager: CaseManager, intake: CaseIntake, clock: ManualClock
) -> None:
    jti = fresh_id()
    await request(case_manager, await asked(intake, jti))
    statement = grant(jti, exp=int(clock.now().timestamp()))
    with pytest.raises(InvalidEvent, match="expired"):
        await case_manager.consents.renew(CONSENT_SOURCE, {"tenant": "acme", "grant": statement})
    [granted] = await case_manager.consents.renew(CONSENT_SOURCE, {"tenant": "acme", "grant": grant(jti)})
    assert granted["type"] == "ConsentGranted"


@pytest.mark.parametrize(
    ("source", "tenant", "changed"),
    [
        (CONSENT_SOURCE, "acme", {"seed": b"\x02" * 32}),
        (CONSENT_SOURCE, "other", {}),
        (CONSENT_SOURCE, "acme", {"iss": "upstream.other"}),
        ("upstream.other", "acme", {}),
    ],
)
async def test_renewal_that_its_source_did_not_sign_is_refused(
    case_manager: CaseManager, intake: CaseIntake, source: str, tenant: str, changed: dict[str, Any]
) -> None:
    jti = fresh_id()
    await request(case_manager, await asked(intake, jti))
    with pytest.raises(InvalidEvent):
        await case_manager.consents.renew(source, {"tenant": tenant, "grant": grant(jti, **changed)})


async def test_consent_that_is_not_given_in_time_ends_the_case(
    case_manager: CaseManager, intake: CaseIntake, clock: ManualClock, owner: Owner
) -> None:
    command = await asked(intake, fresh_id())
    await request(case_manager, command)
    clock.advance(timedelta(days=1).total_seconds())
    [pending] = await case_manager.pending.due()
    [expired] = await case_manager.consents.expire(pending)
    ending = routed(expired)
    assert (ending["type"], ending["payload"]["outcome"], ending["payload"]["code"]) == (
        "CloseCase",
        "expired",
        "needs_reauth",
    )


async def two_branches(intake: CaseIntake, jti: str) -> list[Json]:
    """The gather of two branches, and the first command of each."""
    changes = {"agent": None, "grant": grant(jti), "idempotency_key": fresh_id()}
    [opening] = await intake.open_case(CONSENT_SOURCE, signed(**changes), "CaseSubmitted")
    planned = tuple(PlannedBranch(agent="text_to_sql", part=part) for part in PARTS[:2])
    return followed(reply(routed(opening), AgentsChosen(branches=planned), written=PARTS[:2]))


async def test_branch_waits_for_consent_alone_and_is_joined_when_it_is_given(
    case_manager: CaseManager, intake: CaseIntake
) -> None:
    jti = fresh_id()
    gather, first, second = await two_branches(intake, jti)
    gathers: Any = case_manager.gathers
    assert await gathers.open(received(gather)) == []
    [consent] = followed(reply(first, ReauthNeeded(audience=WAREHOUSE)))
    [requested] = await request(case_manager, consent)
    assert requested["type"] == "ConsentRequested"
    # The other branch has run and ended before anybody consents.
    assert await gathers.end_branch(received(followed(findings(second))[0])) == []

    [granted] = await case_manager.consents.renew(CONSENT_SOURCE, {"tenant": "acme", "grant": grant(jti)})
    assert granted["branch"] == first["branch"]
    [again] = followed(granted)
    [joined] = await gathers.end_branch(received(followed(findings(again))[0]))
    assert joined["type"] == "BranchesJoined"
    assert [result["answer"]["rows"] for result in joined["payload"]["results"]] == [1, 1]


async def test_branch_without_consent_ends_while_the_findings_of_the_others_can_be_used(
    case_manager: CaseManager, intake: CaseIntake, clock: ManualClock
) -> None:
    gather, first, second = await two_branches(intake, fresh_id())
    gathers: Any = case_manager.gathers
    await gathers.open(received(gather))
    [consent] = followed(reply(first, ReauthNeeded(audience=WAREHOUSE)))
    [requested] = await request(case_manager, consent)
    await gathers.end_branch(received(followed(findings(second))[0]))
    deadline = moment(consent["case_deadline"])
    left = timedelta(milliseconds=consent["later_p95_ms"]) + JOIN_MARGIN
    assert consent["later_p95_ms"] > 0
    assert moment(requested["payload"]["until"]) == deadline - left

    clock.advance((deadline - left - clock.now()).total_seconds() - 1)
    await case_manager.timers.tick()
    assert await case_manager.pending.due() == []
    clock.advance(1)
    [pending] = await case_manager.pending.due()
    [expired] = await case_manager.consents.expire(pending)
    [end] = followed(expired)
    [joined] = await gathers.end_branch(received(end))
    [draft] = followed(joined)
    assert (draft["type"], clock.now() < deadline) == ("DraftAnswer", True)
    codes = [result.get("failure", {}).get("code") for result in draft["payload"]["results"]]
    assert codes == ["needs_reauth", None]


async def test_consent_outside_every_branch_is_awaited_until_the_deadline(
    case_manager: CaseManager, intake: CaseIntake
) -> None:
    command = await asked(intake, fresh_id())
    [requested] = await request(case_manager, command)
    assert moment(requested["payload"]["until"]) == moment(command["case_deadline"])
