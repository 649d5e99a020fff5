"""The hash chain of one case: parents, derived ids, siblings, shared facts and endings. Pure.

A case ends once per attempt. An attempt begins with the case or with an operator's `TaskRetried`, and everything that
descends from it belongs to it. A retry is valid only if it is a child of the failure that ended the attempt before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from switchyard.audit.records.projection import Transition
from switchyard.audit.verification.findings import Finding, FindingKind
from switchyard.protocol.catalogue import ROUTER
from switchyard.protocol.envelope import event_id_for
from switchyard.protocol.events.case_manager import TaskRetried
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.fields import Principal

RETRIED_TYPE, FAILED_TYPE = TaskRetried.__name__, TaskFailed.__name__
_CASE_FACTS = ("opened_on", "tenant", "session_id", "principal_sub", "subject", "playbook_version", "case_deadline")
"""Columns with one value per case: derived events copy them from their parent."""

_CLAIMS = tuple(name for name in Principal.model_fields if name not in {"sub", "subject"})
"""Claims of the principal without a column."""

FIRST_ATTEMPT = ""
"""The attempt that the case began with; the others are named by the digest of their retry."""

PENDING_KINDS = frozenset(
    {
        FindingKind.MISSING_PARENT,
        FindingKind.MISSING_SIBLING,
        FindingKind.NO_FIRST_EVENT,
        FindingKind.RETRY_UNFOUNDED,
    }
)
"""Findings that may disappear, because events arrive in any order."""


@dataclass(frozen=True, slots=True)
class EventFact:
    """One event by its body, or by its columns if the body is invalid. Without the body, which is large."""

    event: Transition
    recorded_at: datetime
    principal: Principal | None = None


def check_chain(facts: Sequence[EventFact]) -> Iterator[Finding]:
    """The findings between the events of one case."""
    by_digest = {fact.event.transcript_hash: fact.event for fact in facts}
    yield from _duplicates(facts)
    yield from _check_first_event(facts)
    yield from _check_endings(facts)
    yield from _check_case_facts(facts)
    for fact in facts:
        yield from _check_cause(fact.event, by_digest)
    yield from _siblings(facts)


def build_finding(event: Transition, kind: FindingKind, why: str, field: str | None = None) -> Finding:
    """A finding about one row."""
    return Finding(kind, event.case_id, event.event_id, event.opened_on, why, field)


def _duplicates(facts: Iterable[EventFact]) -> Iterator[Finding]:
    ids: set[str] = set()
    digests: set[str] = set()
    for event in _in_recorded_order(facts):
        if event.event_id in ids:
            yield build_finding(event, FindingKind.DUPLICATE, "another row has the same event_id", "event_id")
        elif event.transcript_hash in digests:
            yield build_finding(
                event, FindingKind.DUPLICATE, "another row has the same transcript_hash", "transcript_hash"
            )
        ids.add(event.event_id)
        digests.add(event.transcript_hash)


def _check_first_event(facts: Sequence[EventFact]) -> Iterator[Finding]:
    firsts = [event for event in _in_recorded_order(facts) if not event.parents]
    if not firsts:
        why = "the case's first event is not in the log: there is no event without parents"
        yield Finding(FindingKind.NO_FIRST_EVENT, facts[0].event.case_id, None, None, why)
    for event in firsts[1:]:
        yield build_finding(event, FindingKind.SECOND_FIRST_EVENT, "the case already has a first event", "parents")


def _check_endings(facts: Iterable[EventFact]) -> Iterator[Finding]:
    for fault in find_ending_faults(_in_recorded_order(facts)):
        match fault:
            case SecondEnding(event, before):
                why = f"the case was already ended by {before.transition} {before.event_id}"
                yield build_finding(event, FindingKind.SECOND_ENDING, why, "terminal")
            case UnfoundedRetry(event, why):
                yield build_finding(event, FindingKind.RETRY_UNFOUNDED, why, "parents")


def _check_case_facts(facts: Sequence[EventFact]) -> Iterator[Finding]:
    first = min(facts, key=lambda fact: (bool(fact.event.parents), fact.event.seq, fact.event.event_id))
    reference = first.event
    for fact in facts:
        for name in _differing_claims(first.principal, fact.principal):
            why = f"its principal is not that of {reference.transition} {reference.event_id}"
            yield build_finding(fact.event, FindingKind.CASE_FACT_DIFFERS, why, f"principal.{name}")
        for name in _CASE_FACTS:
            if getattr(fact.event, name) != getattr(reference, name):
                why = f"{name} is not that of the case, set by {reference.transition} {reference.event_id}"
                yield build_finding(fact.event, FindingKind.CASE_FACT_DIFFERS, why, name)


def _differing_claims(opened_for: Principal | None, acts_for: Principal | None) -> list[str]:
    """Derived events keep the whole principal: another actor or more scopes would exceed what was granted."""
    if opened_for is None or acts_for is None:
        return []  # an unreadable body is a finding of its own
    return [name for name in _CLAIMS if getattr(opened_for, name) != getattr(acts_for, name)]


def _check_cause(event: Transition, by_digest: Mapping[str, Transition]) -> Iterator[Finding]:
    parents = [by_digest.get(digest) for digest in event.parents]
    known = [parent for parent in parents if parent is not None]
    for digest, parent in zip(event.parents, parents, strict=True):
        if parent is None:
            why = f"its parent with the digest {digest} is not in the log"
            yield build_finding(event, FindingKind.MISSING_PARENT, why, "parents")
    if len(known) < len(event.parents):
        return
    expected = max((parent.seq for parent in known), default=-1) + 1
    if event.seq != expected:
        yield build_finding(event, FindingKind.WRONG_SEQ, f"seq is {event.seq}; its parents give {expected}", "seq")
    # A join's id is derived from its gather, which is in no event; every other id from the event's one parent.
    if len(known) == 1:
        derived = event_id_for(known[0].event_id, event.node_from, event.transition, event.ordinal)
        if event.event_id != derived:
            yield build_finding(
                event, FindingKind.ID_NOT_DERIVED, f"the id derived from its parent is {derived}", "event_id"
            )


def _siblings(facts: Iterable[EventFact]) -> Iterator[Finding]:
    """Each child of one parent and producer has their number: none may be missing or surplus."""
    families: dict[tuple[object, ...], list[Transition]] = defaultdict(list)
    for event in _in_recorded_order(facts):
        if event.parents:
            families[event.parents, event.node_from, _is_own_failure(event)].append(event)
    for family in families.values():
        eldest, places = family[0], set[int]()
        for event in family:
            if event.siblings != eldest.siblings:
                why = (
                    f"it has {event.siblings} siblings, and {eldest.event_id} of the same parent has {eldest.siblings}"
                )
                yield build_finding(event, FindingKind.SIBLINGS_DISAGREE, why, "siblings")
            elif event.ordinal >= event.siblings:
                why = f"ordinal {event.ordinal} of {event.siblings} children"
                yield build_finding(event, FindingKind.SIBLINGS_DISAGREE, why, "ordinal")
            elif event.ordinal in places:
                why = f"its parent has another child {event.ordinal} from {event.node_from}"
                yield build_finding(event, FindingKind.SIBLINGS_DISAGREE, why, "ordinal")
            places.add(event.ordinal)
        if missing := eldest.siblings - len(places & set(range(eldest.siblings))):
            why = f"{missing} of the {eldest.siblings} children of its parent are not in the log"
            yield build_finding(eldest, FindingKind.MISSING_SIBLING, why, "siblings")


def _is_own_failure(event: Transition) -> bool:
    # The router stores no outcome: an event that it routed but failed to delete from its queue for long enough has a
    # failure beside its result. An agent has one outcome only.
    return event.node_from == ROUTER and event.transition == FAILED_TYPE


def _in_recorded_order(facts: Iterable[EventFact]) -> list[Transition]:
    return [fact.event for fact in sorted(facts, key=lambda fact: (fact.recorded_at, fact.event.event_id))]


@dataclass(frozen=True, slots=True)
class SecondEnding:
    """Two endings of one attempt."""

    event: Transition
    ended_by: Transition


@dataclass(frozen=True, slots=True)
class UnfoundedRetry:
    """A retry whose parent did not end the case."""

    event: Transition
    why: str


def latest_attempt_ended(events: Sequence[Transition]) -> bool:
    """Whether the latest attempt of a case has its ending."""
    return sum(event.terminal for event in events) > sum(event.transition == RETRIED_TYPE for event in events)


def find_ending_faults(events: Sequence[Transition]) -> Iterator[SecondEnding | UnfoundedRetry]:
    """The faults in the endings and retries of one case; `events` are in the order of recording."""
    by_digest = {event.transcript_hash: event for event in events}
    attempts = _attempts_by_digest(events)
    endings: dict[str, Transition] = {}
    for event in events:
        # With a missing parent the attempt is unknown; the missing parent is the finding.
        if event.terminal and (here := attempts[event.transcript_hash]) is not None:
            if here in endings:
                yield SecondEnding(event, endings[here])
            endings.setdefault(here, event)
    for event in events:
        if event.transition == RETRIED_TYPE and len(event.parents) == 1 and event.parents[0] in by_digest:
            failure = by_digest[event.parents[0]]
            before = attempts[failure.transcript_hash]
            ending = None if before is None else endings.get(before)
            if failure.transition != FAILED_TYPE:
                yield UnfoundedRetry(event, f"its parent is {failure.transition}; only a failure can be retried")
            elif ending is None:
                yield UnfoundedRetry(event, "the failed attempt has no ending in the log")
            elif failure.transcript_hash not in _ancestors(ending, by_digest):
                yield UnfoundedRetry(event, f"the case was ended by {ending.event_id}, not because of this failure")


def _attempts_by_digest(events: Sequence[Transition]) -> dict[str, str | None]:
    """The attempt of each event, by digest; None if a parent is missing."""
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
            # A join of a retried branch with another branch belongs to the retry.
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
