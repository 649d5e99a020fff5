"""Somebody who may put events on the bus still cannot speak for a service."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from switchyard.protocol.digest import event_digest
from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.e2e


def _signed(event: dict[str, Any]) -> dict[str, Any]:
    """As a careful forger does: the digest recomputed."""
    return event | {"digest": event_digest(event)}


async def _refused(deployment: Deployment, node: str, field: str, before: int) -> None:
    async def kept() -> bool | None:
        found = [item for item in await deployment.quarantined(node) if item["field"] == field]
        return True if len(found) > before else None

    await deployment.until(kept, seconds=15, what=f"a quarantined event at {node} for {field}")


async def _count(deployment: Deployment, node: str, field: str) -> int:
    return len([item for item in await deployment.quarantined(node) if item["field"] == field])


async def test_forged_events_raise_alarms_and_change_no_case(deployment: Deployment) -> None:
    cases = await deployment.submit(
        [deployment.question("e2e wells by basin"), deployment.question("e2e wells by basin 2")]
    )
    closed = await deployment.closed(cases)
    await deployment.settled(cases)
    mine = {event["type"]: event for event in await deployment.events(cases[0])}
    other = {event["type"]: event for event in await deployment.events(cases[1])}
    chosen, asked = mine["AgentChosen"], mine["AnswerQuestion"]

    altered = copy.deepcopy(chosen)
    altered["state"]["agent"] = "text_to_sql"
    foreign = chosen | {"state": other["AgentChosen"]["state"], "state_seal": other["AgentChosen"]["state_seal"]}
    forgeries: list[tuple[str, str, str, dict[str, Any]]] = [
        ("router", "node_from", "switchyard.drafter", chosen),  # the wrong source
        ("router", "digest", "switchyard.triage", chosen | {"tenant": "evil"}),  # altered, digest left
        ("router", "state", "switchyard.triage", _signed(altered)),  # altered state
        ("router", "state_seal", "switchyard.triage", _signed(foreign)),  # another case's seal
        ("router", "state_seal", "switchyard.triage", _signed(chosen | {"session_id": "stolen"})),  # another session
        # a playbook that does not exist: it would end the case if the seal did not tell
        ("router", "playbook_version", "switchyard.triage", _signed(chosen | {"playbook_version": "assist/9"})),
        # the right id with another digest
        ("text_to_sql", "event_id", "switchyard.router", _signed(asked | {"time_limit_ms": 1})),
        ("drafter", "node_from", "switchyard.router", chosen | {"node_to": "drafter"}),  # a type it may not get
    ]
    for node, field, source, event in forgeries:
        before = await _count(deployment, node, field)
        await deployment.put((source, event["type"], json.dumps(event)))
        await _refused(deployment, node, field, before)

    kinds = {row["kind"] for row in await deployment.rows("select kind from audit.integrity_alarm")}
    assert {"forged_source", "digest_mismatch", "duplicate_differs"} <= kinds
    assert await deployment.closed(cases) == closed
    (again,) = await deployment.submit([deployment.question("e2e wells by basin 3")])
    assert (await deployment.closed([again]))[again]["outcome"] == "answered", "the services did not go on"


async def test_unknown_version_from_the_right_producer_ends_the_case_by_name(deployment: Deployment) -> None:
    (case,) = await deployment.submit([deployment.question("e2e slow version")])

    async def asked() -> dict[str, Any] | None:
        return next((event for event in await deployment.events(case) if event["type"] == "DraftAnswer"), None)

    command = await deployment.until(asked, seconds=20, what="a command to the drafter")
    newer = command | {"version": 99, "event_id": case[:-1] + ("0" if case[-1] != "0" else "1")}
    await deployment.put(("switchyard.router", "DraftAnswer", json.dumps(_signed(newer))))

    async def named() -> dict[str, Any] | None:
        failed = [event for event in await deployment.events(case) if event["type"] == "TaskFailed"]
        return failed[0]["payload"] if failed else None

    payload = await deployment.until(named, seconds=20, what="a TaskFailed")
    assert (payload["code"], payload["field"]) == ("unknown_event", "version")
    assert payload["remedy"]


async def test_invalid_bytes_go_to_quarantine(deployment: Deployment) -> None:
    before = len(await deployment.quarantined("drafter"))
    await deployment.put(("switchyard.router", "DraftAnswer", json.dumps({"node_to": "drafter", "event_id": 7})))

    async def kept() -> list[dict[str, Any]] | None:
        found = await deployment.quarantined("drafter")
        return found if len(found) > before else None

    found = await deployment.until(kept, seconds=15, what="a quarantined message")
    assert any(item["reason"] == "malformed" and item["remedy"] for item in found)
