"""What the identity service issued, compared with what the log says was used. Pure.

An agent gets a credential for one task, and the outcome of that task names it. A worker or an identity service that
was killed leaves one unnamed; the next attempt gets another one for the same service and scope, which the outcome
names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from switchyard.audit.reconciliation.completeness import Gap, GapKind, RecordedEvent
from switchyard.protocol.fields import Access

_ACCESSES = TypeAdapter(tuple[Access, ...])


@dataclass(frozen=True, slots=True)
class IssuedCredential:
    """A row of `issued_token`. `task` is the event id of the command that it was issued for."""

    jti: str
    task: str
    grant: str
    case_id: str
    agent: str
    audience: str
    scopes: Sequence[str]
    issued_at: datetime


_Use = tuple[str, str, str, str, str, tuple[str, ...]]


def compare_credentials(
    issued: Iterable[IssuedCredential], recorded: Sequence[RecordedEvent], *, settled_before: datetime
) -> list[Gap]:
    """What was issued although its task, or the whole case, has ended without a word of that grant, service and scope;
    and what is recorded and was not issued so. An ending counts that was recorded before `settled_before`."""
    commands = {event.digest: event.event_id for event in recorded}
    used = {use: event for event in recorded for use in _uses(event, commands)}
    named = {use[1:] for use in used}
    given = {(each.jti, each.task, each.agent, each.grant, each.audience, tuple(each.scopes)): each for each in issued}
    ended = {(commands[parent], event.producer) for event in recorded for parent in event.parents if parent in commands}
    endings = [event for event in recorded if event.terminal and event.recorded_at < settled_before]
    gaps = [
        Gap(GapKind.UNRECORDED, each.agent, each.case_id, each.task, _described(each.jti), each.issued_at)
        for use, each in given.items()
        if use[1:] not in named
        and (
            (each.task, each.agent) in ended
            or any(end.case_id == each.case_id and end.recorded_at > each.issued_at for end in endings)
        )
    ]
    gaps += [
        Gap(GapKind.UNISSUED, event.producer, event.case_id, event.event_id, _described(use[0]), event.recorded_at)
        for use, event in used.items()
        if use not in given
    ]
    return gaps


def _uses(event: RecordedEvent, commands: Mapping[str, str]) -> list[_Use]:
    """The credentials that an event says it used. One that it claims for another agent or person matches none."""
    if event.access is None:
        return []
    try:
        accesses = _ACCESSES.validate_json(event.access)
    except (ValidationError, RecursionError):
        return []  # a row that was changed: verification finds it
    task = next((commands[parent] for parent in event.parents if parent in commands), "")
    return [
        (
            each.jti,
            task,
            each.agent if (each.agent, each.subject) == (event.producer, event.subject) else "",
            each.grant,
            each.audience,
            each.scopes,
        )
        for each in accesses
    ]


def _described(jti: str) -> str:
    return f"credential {jti}"
