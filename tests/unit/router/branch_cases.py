"""A case that fans out, walked with the real contracts, router, seal and join."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from contracts.catalogue import CATALOGUE
from contracts.events.memory import MemoryItem, MemoryRecalled
from contracts.events.specialists import FindingsReady
from contracts.events.triage import AgentsChosen
from services.orchestrator.graph import PLAYBOOKS
from switchyard.case_manager.gathers import build_joined
from switchyard.protocol.branches import PlannedBranch
from switchyard.protocol.events.router import GatherBranches
from switchyard.protocol.fields import Artefact, Json, ModelCall, StorageRef
from switchyard.router.playbook import RoutingTable
from switchyard.router.routing import route
from tests.unit.protocol.bus_events import changed, with_digest
from tests.unit.router.cases import SEAL, artefact, opened, place, received, reply, routed, stamped

TABLE = RoutingTable(CATALOGUE, PLAYBOOKS)
PARTS = tuple(artefact("question", f"part {number}") for number in range(3))


def followed(event: Json, table: RoutingTable = TABLE) -> list[Json]:
    """The events that the router publishes because of this one."""
    return [stamped(each) for each in route(received(event), SEAL, table)]


def beginning(tokens: int = 0) -> list[Json]:
    """A case that has opened, and triage's command."""
    first = with_digest(changed(opened(playbook_version="assist/4"), "budget", {"attempts": 3, "tokens": tokens}))
    return [first, routed(first)]


PREVIOUS = "5b1c9b64-0f1a-4d0a-9d52-3a1e7c9f2b10"
MEMORY = artefact("memory")


def second_turn(*, agent: str | None = None, tokens: int = 0) -> Json:
    """A case that is the second turn of its session."""
    event = changed(opened(playbook_version="assist/4", agent=agent), "budget", {"attempts": 3, "tokens": tokens})
    return with_digest(changed(event, "payload", event["payload"] | {"turn": 2, "previous_case": PREVIOUS}))


def recalled(command: Json, *, found: bool = True) -> Json:
    """What memory answers."""
    if not found:
        return reply(command, MemoryRecalled(missing="not_kept"))
    item = MemoryItem(id=PREVIOUS, kind="turn", digest="d" * 64)
    return reply(command, MemoryRecalled(memory=MEMORY, used=(item,), tokens=40), written=(MEMORY,))


def recalling(*, agent: str | None = None) -> list[Json]:
    """A second turn as far as the end of its recall."""
    first = second_turn(agent=agent)
    gather, command = followed(first)
    answer = recalled(command)
    return [first, gather, command, answer, *followed(answer)]


def chosen(
    branches: int = 3,
    mode: Literal["parallel", "sequence"] = "parallel",
    *,
    tokens: int = 0,
    agents: Sequence[str] = ("text_to_sql",) * 3,
    parts: Sequence[Artefact | None] = PARTS,
) -> Json:
    """Triage's choice of several specialists."""
    planned = [PlannedBranch(agent=agents[number], part=parts[number]) for number in range(branches)]
    written = tuple(part for part in parts[:branches] if part)
    return reply(beginning(tokens)[-1], AgentsChosen(branches=tuple(planned), mode=mode), written=written)


def findings(command: Json, text: str = "") -> Json:
    """A specialist's findings."""
    name = artefact("findings", text or command["event_id"])
    return reply(command, FindingsReady(findings=(name,), rows=1), written=(name,))


def spent(event: Json, tokens: int) -> Json:
    """The event with a model call that cost so many tokens."""
    call = ModelCall(
        vendor="bedrock", model_id="m", role="primary", reason="primary", latency_ms=1, input_tokens=tokens
    )
    return with_digest(changed(event, "model_call", call.model_dump(mode="json")))


def join(gather: Json, ends: Sequence[Json]) -> Json:
    """What the case manager publishes when every branch has ended."""
    command, asked = received(gather), received(gather).payload
    assert isinstance(asked, GatherBranches)
    envelopes = {end["branch"]["number"]: received(end).envelope for end in ends}
    event = build_joined(CATALOGUE, command.envelope, gather.get("state"), asked, envelopes)
    places: dict[str, Any] = {}
    for each in (*sorted(ends, key=lambda end: int(end["branch"]["number"]), reverse=True), gather):
        places |= each["storage_refs"]
    return stamped(event | {"storage_refs": places})


def read_places(*written: Artefact) -> dict[str, StorageRef]:
    return dict(map(place, written))


def text(event: Json) -> str:
    """All that an agent can see of an event."""
    return json.dumps(event, sort_keys=True)
