"""A case ends once for each time that it was tried. Pure.

A try begins with the case, or with an operator's `TaskRetried`; everything that descends from it belongs to it. A retry
is one only if it undoes an ending: it is a child of the very failure that ended the try before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from switchyard.audit.records.projection import Transition
from switchyard.protocol.events.case_manager import TaskRetried
from switchyard.protocol.events.failures import TaskFailed

RETRIED_TYPE, FAILED_TYPE = TaskRetried.__name__, TaskFailed.__name__
FIRST_ATTEMPT = ""
"""The try that the case began with; the others are named by the digest of their retry."""


@dataclass(frozen=True, slots=True)
class SecondEnding:
    """Two endings of one try."""

    event: Transition
    ended_by: Transition


@dataclass(frozen=True, slots=True)
class UnfoundedRetry:
    """A retry of what did not end its case."""

    event: Transition
    why: str


def latest_attempt_ended(events: Sequence[Transition]) -> bool:
    """Whether the latest try of a case has its ending."""
    return sum(event.terminal for event in events) > sum(event.transition == RETRIED_TYPE for event in events)


def find_ending_faults(events: Sequence[Transition]) -> Iterator[SecondEnding | UnfoundedRetry]:
    """What is wrong with the endings and retries of one case, whose `events` come in the order of recording."""
    by_digest = {event.transcript_hash: event for event in events}
    tries = _attempts_by_digest(events)
    endings: dict[str, Transition] = {}
    for event in events:
        # Where a cause is missing, that is the finding: which try it is cannot be told.
        if event.terminal and (here := tries[event.transcript_hash]) is not None:
            if here in endings:
                yield SecondEnding(event, endings[here])
            endings.setdefault(here, event)
    for event in events:
        if event.transition == RETRIED_TYPE and len(event.parents) == 1 and event.parents[0] in by_digest:
            failure = by_digest[event.parents[0]]
            before = tries[failure.transcript_hash]
            ending = None if before is None else endings.get(before)
            if failure.transition != FAILED_TYPE:
                yield UnfoundedRetry(event, f"its cause is {failure.transition}, and only a failure is tried again")
            elif ending is None:
                yield UnfoundedRetry(event, "the try that failed has no ending in the log")
            elif failure.transcript_hash not in _ancestors(ending, by_digest):
                yield UnfoundedRetry(event, f"the case was ended by {ending.event_id}, which was not for this failure")


def _attempts_by_digest(events: Sequence[Transition]) -> dict[str, str | None]:
    """The try of each event, by digest; None where a cause is missing."""
    found: dict[str, str | None] = {}
    seqs = {event.transcript_hash: event.seq for event in events}
    for event in sorted(events, key=lambda event: event.seq):
        if event.transition == RETRIED_TYPE:
            found[event.transcript_hash] = event.transcript_hash
        elif not event.parents:
            found[event.transcript_hash] = FIRST_ATTEMPT
        else:
            above = [found.get(parent) for parent in event.parents]
            known = [each for each in above if each is not None]
            # A join of a retried branch with one that was not is part of the retry.
            latest = max(known, key=lambda each: seqs.get(each, -1), default=None)
            found[event.transcript_hash] = latest if len(known) == len(above) else None
    return found


def _ancestors(event: Transition, by_digest: Mapping[str, Transition]) -> set[str]:
    found: set[str] = set()
    waiting = list(event.parents)
    while waiting:
        digest = waiting.pop()
        if digest not in found and digest in by_digest:
            found.add(digest)
            waiting += by_digest[digest].parents
    return found
