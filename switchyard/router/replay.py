"""Recorded replay: decide again what the router decided, from the log alone, and compare. No model, no effect."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from switchyard.protocol.catalogue import ROUTER
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.fields import Json
from switchyard.protocol.signing import OperatorKeys
from switchyard.router.decisions import RoutingDecision, decide_routing
from switchyard.router.playbook import RoutingTable
from switchyard.router.state_seal import RecordedSeal, StateSeal

MAX_DIFFERENCES = 12
_MAX_VALUE_CHARS = 60
_UNDIGESTED_FIELDS = frozenset({"digest", "occurred_at", "trace", "storage_refs", "state_seal"})
_FAILED = TaskFailed.__name__


@dataclass(frozen=True)
class Divergence:
    """A decision that would be another one today. `differences` name the fields where both go the same way."""

    case_id: str
    event_id: str
    event: str
    recorded: str
    today: str
    differences: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"case {self.case_id} event {self.event_id} ({self.event}): recorded {self.recorded}; today {self.today}"
        return text + (f" ({'; '.join(self.differences)})" if self.differences else "")


@dataclass(frozen=True)
class CaseReplay:
    """One case. `undecided` events are for the router and nothing follows from them, or only a part of what does: the
    rest may be on its way."""

    decisions: int
    undecided: int
    divergence: Divergence | None


def replay_case(
    bodies: Sequence[str], table: RoutingTable, seal: StateSeal | None = None, *, operators: OperatorKeys | None = None
) -> CaseReplay:
    """Decide a whole case again and compare with what is recorded, up to the first divergence.

    `bodies` are the received texts in causal order, of a case whose chain holds. Without a seal and operators, the log
    vouches for both: their keys are production's.
    """
    trusted = seal or RecordedSeal()
    texts = [(json.loads(body)["detail"], body) for body in bodies]
    followed: dict[str, list[Json]] = defaultdict(list)
    for event, _ in texts:
        if event["node_from"] == ROUTER:
            followed[event["parents"][0] if event["parents"] else ""].append(event)
    causes = {parent for event, _ in texts for parent in event["parents"]}
    decisions = undecided = 0
    for event, body in texts:
        recorded = followed.get(event["digest"], [])
        if event["node_to"] != ROUTER:
            if recorded:
                return CaseReplay(decisions, undecided, _divergence(event, recorded, RoutingDecision(())))
            continue
        decision = decide_routing(body, trusted, table, operators=operators)
        if _is_partial(recorded, decision.events, causes):
            undecided += 1
            continue
        decisions += 1
        if not _same_events(recorded, decision.events):
            return CaseReplay(decisions, undecided, _divergence(event, recorded, decision))
    return CaseReplay(decisions, undecided, None)


def _is_partial(recorded: Sequence[Json], decided: Sequence[Json], causes: set[str]) -> bool:
    """Whether what is recorded is a part of what was decided, and nothing has followed yet from the rest."""
    wanted = {event["event_id"]: event["digest"] for event in decided}
    found = {event["event_id"]: event["digest"] for event in recorded}
    missing = {digest for event_id, digest in wanted.items() if event_id not in found}
    return bool(missing) and found.items() <= wanted.items() and not (found and missing & causes)


def _same_events(recorded: Sequence[Json], decided: Sequence[Json]) -> bool:
    wanted = {event["event_id"]: event["digest"] for event in decided}
    # The router keeps no outcome: an event that it could not route for a while became its failure as well as, later,
    # what follows from it. Verification accepts both, and either is what was decided.
    found = {event["event_id"]: event["digest"] for event in recorded}
    return found == wanted or wanted == {
        event["event_id"]: event["digest"] for event in recorded if event["type"] != _FAILED
    }


def _divergence(event: Json, recorded: Sequence[Json], decision: RoutingDecision) -> Divergence:
    then, today = _describe_events(recorded), _describe_events(decision.events)
    if decision.rejection is not None:
        today = f"{today} ({decision.rejection.reason}: {decision.rejection.message})"
    differences: tuple[str, ...] = ()
    if [_flow_of(event) for event in recorded] == [_flow_of(event) for event in decision.events]:
        pairs = zip(recorded, decision.events, strict=True)
        differences = tuple(found for old, new in pairs for found in _differences(old, dict(new)))[:MAX_DIFFERENCES]
    label = f"{event['type']} from {event['node_from']}, seq {event['seq']}"
    return Divergence(event["case_id"], event["event_id"], label, then, today, differences)


def _describe_events(events: Sequence[Json]) -> str:
    return " and ".join(_describe_event(event) for event in events) or "nothing"


def _flow_of(event: Json) -> tuple[str, str]:
    return event["type"], event["node_to"]


def _describe_event(event: Json) -> str:
    outcome = event["payload"].get("outcome") or event["payload"].get("code")
    return f"{event['type']} to {event['node_to']}" + (f" as {outcome}" if outcome else "")


def _differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            if path or name not in _UNDIGESTED_FIELDS:
                yield from _differences(old.get(name), new.get(name), f"{path}.{name}" if path else name)
    elif old != new:
        yield f"{path}: recorded {_abbreviate(old)}, today {_abbreviate(new)}"


def _abbreviate(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_VALUE_CHARS else f"{text[:_MAX_VALUE_CHARS]}…"
