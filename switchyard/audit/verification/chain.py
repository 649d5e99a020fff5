"""What must hold between the events of one case. Pure functions over facts, small enough to keep a whole case."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from switchyard.audit.records.projection import Transition
from switchyard.audit.verification import attempts
from switchyard.audit.verification.findings import Finding, FindingKind
from switchyard.protocol.catalogue import ROUTER
from switchyard.protocol.envelope import event_id_for
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.fields import Principal

_FAILED = TaskFailed.__name__
_CASE_FACTS = ("opened_on", "tenant", "session_id", "principal_sub", "subject", "playbook_version", "case_deadline")
"""Columns that are one for a whole case: derived events copy them from their cause."""

_CLAIMS = tuple(name for name in Principal.model_fields if name not in {"sub", "subject"})
"""Claims of the principal that no column has."""

PENDING_KINDS = frozenset(
    {
        FindingKind.MISSING_PARENT,
        FindingKind.MISSING_SIBLING,
        FindingKind.NO_FIRST_EVENT,
        FindingKind.RETRY_UNFOUNDED,
    }
)
"""What delivery in no order makes look wrong for a moment."""


@dataclass(frozen=True, slots=True)
class EventFact:
    """One event, as its body has it (as its columns have it, if the body cannot be believed). No body: it is large."""

    event: Transition
    recorded_at: datetime
    principal: Principal | None = None


def check_chain(facts: Sequence[EventFact]) -> Iterator[Finding]:
    """Everything that does not hold between the events of one case."""
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
        why = "no event without parents: the case's first event is not in the log"
        yield Finding(FindingKind.NO_FIRST_EVENT, facts[0].event.case_id, None, None, why)
    for event in firsts[1:]:
        yield build_finding(event, FindingKind.SECOND_FIRST_EVENT, "the case has a first event already", "parents")


def _check_endings(facts: Iterable[EventFact]) -> Iterator[Finding]:
    for fault in attempts.find_ending_faults(_in_recorded_order(facts)):
        match fault:
            case attempts.SecondEnding(event, before):
                why = f"the case was ended already, by {before.transition} {before.event_id}"
                yield build_finding(event, FindingKind.SECOND_ENDING, why, "terminal")
            case attempts.UnfoundedRetry(event, why):
                yield build_finding(event, FindingKind.RETRY_UNFOUNDED, why, "parents")


def _check_case_facts(facts: Sequence[EventFact]) -> Iterator[Finding]:
    first = min(facts, key=lambda fact: (bool(fact.event.parents), fact.event.seq, fact.event.event_id))
    reference = first.event
    for fact in facts:
        for name in _differing_claims(first.principal, fact.principal):
            why = f"it acts for another principal than {reference.transition} {reference.event_id}"
            yield build_finding(fact.event, FindingKind.CASE_FACT_DIFFERS, why, f"principal.{name}")
        for name in _CASE_FACTS:
            if getattr(fact.event, name) != getattr(reference, name):
                why = f"{name} is not that of the case, which {reference.transition} {reference.event_id} set"
                yield build_finding(fact.event, FindingKind.CASE_FACT_DIFFERS, why, name)


def _differing_claims(opened_for: Principal | None, acts_for: Principal | None) -> list[str]:
    """Derived events keep the whole principal: another actor or more scopes would be more than was granted."""
    if opened_for is None or acts_for is None:
        return []  # the body cannot be read, which is a finding of its own
    return [name for name in _CLAIMS if getattr(opened_for, name) != getattr(acts_for, name)]


def _check_cause(event: Transition, by_digest: Mapping[str, Transition]) -> Iterator[Finding]:
    parents = [by_digest.get(digest) for digest in event.parents]
    known = [parent for parent in parents if parent is not None]
    for digest, parent in zip(event.parents, parents, strict=True):
        if parent is None:
            why = f"its cause, with the hash {digest}, is not in the log"
            yield build_finding(event, FindingKind.MISSING_PARENT, why, "parents")
    if len(known) < len(event.parents):
        return
    expected = max((parent.seq for parent in known), default=-1) + 1
    if event.seq != expected:
        yield build_finding(
            event, FindingKind.WRONG_SEQ, f"seq is {event.seq} and follows from its causes as {expected}", "seq"
        )
    # A join's id is derived from its gather, which no event carries; every other event's from its one parent.
    if len(known) == 1:
        derived = event_id_for(known[0].event_id, event.node_from, event.transition, event.ordinal)
        if event.event_id != derived:
            yield build_finding(
                event, FindingKind.ID_NOT_DERIVED, f"the id that follows from its cause is {derived}", "event_id"
            )


def _siblings(facts: Iterable[EventFact]) -> Iterator[Finding]:
    """Children of one cause by one producer count themselves; none may be missing and none may be too many."""
    families: dict[tuple[object, ...], list[Transition]] = defaultdict(list)
    for event in _in_recorded_order(facts):
        if event.parents:
            families[event.parents, event.node_from, _is_own_failure(event)].append(event)
    for family in families.values():
        eldest, places = family[0], set[int]()
        for event in family:
            if event.siblings != eldest.siblings:
                why = f"it counts {event.siblings} children of its cause, and {eldest.event_id} {eldest.siblings}"
                yield build_finding(event, FindingKind.SIBLINGS_DISAGREE, why, "siblings")
            elif event.ordinal >= event.siblings:
                why = f"ordinal {event.ordinal} of {event.siblings} children"
                yield build_finding(event, FindingKind.SIBLINGS_DISAGREE, why, "ordinal")
            elif event.ordinal in places:
                why = f"its cause has another child {event.ordinal} from {event.node_from}"
                yield build_finding(event, FindingKind.SIBLINGS_DISAGREE, why, "ordinal")
            places.add(event.ordinal)
        if missing := eldest.siblings - len(places & set(range(eldest.siblings))):
            why = f"{missing} of the {eldest.siblings} children of its cause are not in the log"
            yield build_finding(eldest, FindingKind.MISSING_SIBLING, why, "siblings")


def _is_own_failure(event: Transition) -> bool:
    # The router keeps no outcome: an event that it routed, and could not delete for long enough, becomes its failure
    # as well. An agent has one outcome, and its failure beside a result is two.
    return event.node_from == ROUTER and event.transition == _FAILED


def _in_recorded_order(facts: Iterable[EventFact]) -> list[Transition]:
    return [fact.event for fact in sorted(facts, key=lambda fact: (fact.recorded_at, fact.event.event_id))]
