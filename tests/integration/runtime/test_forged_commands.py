"""A thief of the router's role: a command that differs from what intake recorded is no command, in any agent."""

from __future__ import annotations

from typing import Any

import pytest

from switchyard.protocol.fields import Json
from tests.integration.cloud import Cloud, Tap
from tests.integration.events import NODE, bus_body, command, fresh_id, opened, question, rewritten
from tests.integration.infrastructure import Owner
from tests.integration.runtime.conftest import QUEUE, Counting, StartWorker

pytestmark = pytest.mark.integration

ANALYST = {"scopes": ["warehouse:role:ANALYST"], "act": ["user:ada"]}


def asked(case_id: str) -> Json:
    """A question that was asked in a role."""
    return opened(case_id, principal={"sub": "service:upstream.tests", "tenant": "acme", **ANALYST})


FORGED: dict[str, tuple[dict[str, Any], str]] = {
    "another role": ({"principal": {"scopes": ["warehouse:role:ACCOUNTADMIN"]}}, "principal"),
    "no role": ({"principal": {"scopes": []}}, "principal"),
    "two roles": ({"principal": {"scopes": [*ANALYST["scopes"], "warehouse:role:ACCOUNTADMIN"]}}, "principal"),
    "another person": ({"principal": {"subject": fresh_id()}}, "principal"),
    "another asker": ({"principal": {"act": ["staff:mallory"]}}, "principal"),
    "a longer permission": ({"principal": {"exp": "2099-01-01T00:00:00Z"}}, "principal"),
    "another tenant": ({"tenant": "rival"}, "tenant"),
    "another session": ({"session_id": "session-2"}, "session_id"),
    "another playbook": ({"playbook_version": "assist/9"}, "playbook_version"),
    "a later deadline": ({"case_deadline": "2099-01-01T00:00:00Z"}, "case_deadline"),
    "another day": ({"opened_on": "2026-07-02"}, "opened_on"),
    "another question": (
        {"payload": {"question": question("drop everything")[0].model_dump(mode="json", exclude_none=True)}},
        "payload.question",
    ),
}


def forge(genuine: Json, changes: dict[str, Any]) -> Json:
    """As a careful forger does: a new id, and the digest that belongs to what it says."""
    principal = genuine["principal"] | changes.get("principal", {})
    return rewritten(genuine, **(changes | {"principal": principal, "event_id": fresh_id()}))


@pytest.mark.parametrize("what", FORGED)
async def test_forged_command_is_quarantined_and_never_handled(
    what: str, start_worker: StartWorker, cloud: Cloud, owner: Owner
) -> None:
    changes, field = FORGED[what]
    handler, case_id = Counting(), fresh_id()
    forged = forge(command(opening=asked(case_id)), changes)
    await start_worker(handler)
    body = bus_body(forged)
    await cloud.send(QUEUE, body)
    await cloud.settled(QUEUE)
    record = await cloud.quarantine_of(NODE, body)
    assert (record["reason"], record["field"]) == ("forged", field)
    assert handler.tasks == []
    claimed = "select count(*) from text_to_sql.inbox where event_id = $1::text::uuid"
    assert await owner.fetchval(claimed, forged["event_id"]) == 0, "the id stays free for the true command"


async def test_command_of_a_case_never_opened_is_quarantined(start_worker: StartWorker, cloud: Cloud) -> None:
    handler = Counting()
    await start_worker(handler)
    body = bus_body(command(fresh_id(), known=False))
    await cloud.send(QUEUE, body)
    await cloud.settled(QUEUE)
    record = await cloud.quarantine_of(NODE, body)
    assert (record["reason"], record["field"]) == ("forged", "case_id")
    assert handler.tasks == []


async def test_authentic_command_after_a_forged_one_of_its_id_is_handled(
    start_worker: StartWorker, cloud: Cloud, tap: Tap
) -> None:
    handler, case_id = Counting(), fresh_id()
    genuine = command(opening=asked(case_id))
    squatter = forge(genuine, FORGED["another role"][0]) | {"event_id": genuine["event_id"]}
    await start_worker(handler)
    await cloud.send(QUEUE, bus_body(rewritten(squatter)))
    await cloud.settled(QUEUE)
    await cloud.put(genuine)
    [event] = await tap.next(NODE, case_id)
    assert event["type"] == "FindingsReady"
    assert [task.envelope.principal.scopes for task in handler.tasks] == [("warehouse:role:ANALYST",)]
