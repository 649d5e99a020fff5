"""The router's process: pure decisions, published as often as they are asked for and always the same."""

from __future__ import annotations

import pytest

from services.orchestrator.graph import CURRENT, PLAYBOOKS
from switchyard.protocol.envelope import event_id_for
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.fields import Json
from switchyard.protocol.topology import dead_letter_queue_name, queue_name
from switchyard.router.playbook import Playbook
from tests.integration.case_manager.conftest import Serve
from tests.integration.cloud import Cloud, Tap
from tests.integration.events import bus_body, fresh_id, opened, rewritten
from tests.reference import read_event

pytestmark = pytest.mark.integration

ASSIST = PLAYBOOKS[CURRENT["assist"]]
QUEUE, DEAD_LETTERS = queue_name("router"), dead_letter_queue_name("router")


async def closed_with(tap: Tap, case_id: str) -> TaskFailed:
    """The failure that the router sends to the case manager."""
    [event] = await tap.next("router", case_id)
    payload = read_event(bus_body(event), node="case_manager").payload
    assert isinstance(payload, TaskFailed)
    return payload


def chosen(command: Json) -> Json:
    """A specialist's answer that hands back a state of its own making."""
    return rewritten(
        command,
        event_id=event_id_for(command["event_id"], "text_to_sql", "FindingsReady"),
        type="FindingsReady",
        node_from="text_to_sql",
        node_to="router",
        seq=command["seq"] + 1,
        parents=[command["digest"]],
        state=command["state"] | {"agent": "somebody_else"},
        payload={"findings": [{"name": "findings", "sha256": "f" * 64, "size": 1, "media_type": "text/csv"}]},
    )


async def test_opened_case_redelivered_repeats_the_same_command(serve: Serve, cloud: Cloud, tap: Tap) -> None:
    await serve("router")
    case = opened()
    await cloud.put(case)
    await tap.next("router", case["case_id"])
    await cloud.put(case)
    first, second = await tap.next("router", case["case_id"], 2)
    assert (first["type"], first["node_to"]) == ("AnswerQuestion", "text_to_sql")
    # `occurred_at` is this publication's; the rest, and so the digest, is the event's.
    assert first | {"occurred_at": ""} == second | {"occurred_at": ""}


async def test_case_on_an_unknown_playbook_version_fails_and_names_it(serve: Serve, cloud: Cloud, tap: Tap) -> None:
    await serve("router")
    case = rewritten(opened(), playbook_version="assist/99")
    await cloud.put(case)
    failed = await closed_with(tap, case["case_id"])
    assert (failed.code, failed.field, failed.task) == ("unknown_event", "playbook_version", case["event_id"])


async def test_case_on_a_playbook_being_deployed_waits_and_continues(
    serve: Serve, cloud: Cloud, tap: Tap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWITCHYARD_DEPLOY_GRACE_S", "60")
    await serve("router")
    case = rewritten(opened(), playbook_version="assist/99", case_deadline="2099-01-01T00:00:00.000000Z")
    await cloud.put(case)
    await tap.silent("router", case["case_id"], 3)

    monkeypatch.setitem(PLAYBOOKS, "assist/99", Playbook("assist/99", *ASSIST.steps.values(), *ASSIST.edges))

    [command] = await tap.next("router", case["case_id"])
    assert (command["type"], command["playbook_version"]) == ("AnswerQuestion", "assist/99")


async def test_foreign_state_is_quarantined_and_case_continues(serve: Serve, cloud: Cloud, tap: Tap) -> None:
    await serve("router")
    case = opened()
    await cloud.put(case)
    [command] = await tap.next("router", case["case_id"])
    raw = bus_body(chosen(command))
    await cloud.send(QUEUE, raw)
    record = await cloud.quarantine_of("router", raw)
    assert (record["reason"], record["field"]) == ("forged", "state")
    await cloud.settled(QUEUE)
    assert len(await tap.seen("router", case["case_id"])) == 1


async def test_router_dead_letter_is_routed_again(serve: Serve, cloud: Cloud, tap: Tap) -> None:
    await serve("router")
    case = opened()
    await cloud.put_dead_letter("router", bus_body(case))
    [command] = await tap.next("router", case["case_id"])
    assert command["type"] == "AnswerQuestion"
    await cloud.settled(QUEUE, DEAD_LETTERS)


async def test_router_dead_letter_unroutable_goes_to_close(serve: Serve, cloud: Cloud, tap: Tap) -> None:
    await serve("router")
    case = rewritten(opened(), playbook_version="assist/99")
    await cloud.put_dead_letter("router", bus_body(case))
    failed = await closed_with(tap, case["case_id"])
    assert (failed.code, failed.task_type) == ("unknown_event", "CaseOpened")
    await cloud.settled(QUEUE, DEAD_LETTERS)


async def test_router_dead_letter_without_an_event_is_quarantined(serve: Serve, cloud: Cloud) -> None:
    await serve("router")
    raw = f"not JSON {fresh_id()}"
    await cloud.put_dead_letter("router", raw)
    assert (await cloud.quarantine_of("router", raw))["reason"] == "malformed"
