"""The hash chain of one case: parents, derived ids, siblings, shared facts and endings. Pure.

A case ends once per attempt. An attempt begins with the case or with an operator's `TaskRetried`, and everything that
descends from it belongs to it. A retry is valid only if it is a child of the failure that ended the attempt before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from switchyard.audit.records.projection import LATE_END, Transition
from switchyard.audit.verification.findings import Finding, FindingKind
from switchyard.protocol.branches import Branch
from switchyard.protocol.catalogue import CASE_MANAGER, ROUTER
from switchyard.protocol.envelope import event_id_for
from switchyard.protocol.events.case_manager import BranchesJoined, ConsentRequested, TaskRetried
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.events.router import GatherBranches, JoinBranch
from switchyard.protocol.fields import Principal

RETRIED_TYPE, FAILED_TYPE, CONSENT_REQUESTED = TaskRetried.__name__, TaskFailed.__name__, ConsentRequested.__name__
JOINED_TYPE = BranchesJoined.__name__
_CASE_FACTS = ("opened_on", "tenant", "session_id", "principal_sub", "subject", "playbook_version", "case_deadline")
"""Columns with one value per case: derived events copy them from their parent."""

_CLAIMS = tuple(name for name in Principal.model_fields if name not in {"sub", "subject"})
"""Claims of the principal without a column."""

FIRST_ATTEMPT = ""
"""The attempt that the case began with; the others are named by the digest of their retry."""

_KIND = FindingKind
PENDING_KINDS = frozenset({_KIND.MISSING_PARENT, _KIND.MISSING_SIBLING, _KIND.NO_FIRST_EVENT, _KIND.RETRY_UNFOUNDED})
"""Findings that may disappear, because events arrive in any order."""


@dataclass(frozen=True, slots=True)
class EventFact:
    """One event by its body, or by its columns if the body is invalid. Without the body, which is large."""

    event: Transition
    recorded_at: datetime
    principal: Principal | None = None
    branch: Branch | None = None
    ends: tuple[str, ...] = ()


def check_chain(facts: Sequence[EventFact]) -> Iterator[Finding]:
    """The findings between the events of one case."""
    events = [fact.event for fact in sorted(facts, key=lambda fact: (fact.recorded_at, fact.event.event_id))]
    by_digest = {fact.event.transcript_hash: fact.event for fact in facts}
    yield from _duplicates(events)
    yield from _check_first_event(events)
    yield from _check_endings(events, by_digest)
    yield from _check_case_facts(facts)
    for fact in facts:
        yield from _check_cause(fact.event, by_digest)
    yield from _siblings(events)
    yield from _check_joins(facts)


def build_finding(event: Transition, kind: FindingKind, why: str, field: str | None = None) -> Finding:
    """A finding about one row."""
    return Finding(kind, why, field, event.case_id, event.event_id, event.opened_on)


def _duplicates(events: Iterable[Transition]) -> Iterator[Finding]:
    seen: set[tuple[str, str]] = set()
    for event in events:
        keys = [("event_id", event.event_id), ("transcript_hash", event.transcript_hash)]
        for name in [name for name, value in keys if (name, value) in seen][:1]:
            yield build_finding(event, FindingKind.DUPLICATE, f"another row has the same {name}", name)
        seen.update(keys)


def _check_first_event(events: Sequence[Transition]) -> Iterator[Finding]:
    firsts = [event for event in events if not event.parents]
    if not firsts:
        why = "the case's first event is not in the log: there is no event without parents"
        yield Finding(FindingKind.NO_FIRST_EVENT, why, case_id=events[0].case_id)
    for event in firsts[1:]:
        yield build_finding(event, FindingKind.SECOND_FIRST_EVENT, "the case already has a first event", "parents")


def _check_case_facts(facts: Sequence[EventFact]) -> Iterator[Finding]:
    first = min(facts, key=lambda fact: (bool(fact.event.parents), fact.event.seq, fact.event.event_id))
    reference = first.event
    for fact in facts:
        # An unreadable body has no principal, and is a finding of its own.
        for name in _CLAIMS if first.principal and fact.principal else ():
            if getattr(first.principal, name) != getattr(fact.principal, name):
                why = f"its principal is not that of {reference.transition} {reference.event_id}"
                yield build_finding(fact.event, FindingKind.CASE_FACT_DIFFERS, why, f"principal.{name}")
        for name in _CASE_FACTS:
            if getattr(fact.event, name) != getattr(reference, name):
                why = f"{name} is not that of the case, set by {reference.transition} {reference.event_id}"
                yield build_finding(fact.event, FindingKind.CASE_FACT_DIFFERS, why, name)


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
    # A join's first parent is its gather.
    if known:
        derived = event_id_for(known[0].event_id, event.node_from, event.transition, event.ordinal)
        if event.event_id != derived:
            why = f"the id derived from its parent is {derived}"
            yield build_finding(event, FindingKind.ID_NOT_DERIVED, why, "event_id")


def _siblings(events: Iterable[Transition]) -> Iterator[Finding]:
    """Each child of one parent and producer has their number: none may be missing or surplus."""
    families: dict[tuple[object, ...], list[Transition]] = defaultdict(list)
    for event in events:
        if event.parents:
            # The router stores no outcome: an event that it routed but failed to delete from its queue for long enough
            # has a failure and a result. An agent has one outcome only.
            own_failure = event.node_from == ROUTER and event.transition == FAILED_TYPE
            # The case manager tells the user that it waits, and answers the same command later.
            notice = event.transition == CONSENT_REQUESTED
            families[event.parents, event.node_from, own_failure, notice].append(event)
    for family in families.values():
        eldest, ordinals = family[0], set[int]()
        count = eldest.siblings
        for event in family:
            why, field = "", "ordinal"
            if event.siblings != count:
                why = f"it has {event.siblings} siblings, and {eldest.event_id} of the same parent has {count}"
                field = "siblings"
            elif event.ordinal >= event.siblings:
                why = f"ordinal {event.ordinal} of {event.siblings} children"
            elif event.ordinal in ordinals:
                why = f"its parent has another child {event.ordinal} from {event.node_from}"
            if why:
                yield build_finding(event, FindingKind.SIBLINGS_DISAGREE, why, field)
            ordinals.add(event.ordinal)
        if missing := count - sum(0 <= ordinal < count for ordinal in ordinals):
            why = f"{missing} of the {count} children of its parent are not in the log"
            yield build_finding(eldest, FindingKind.MISSING_SIBLING, why, "siblings")


def _check_joins(facts: Sequence[EventFact]) -> Iterator[Finding]:
    """The parents of a join are its gather and the end of each branch, in order, and its results are theirs. A gather
    with a time limit may be joined without branches that were late."""
    by_digest = {fact.event.transcript_hash: fact for fact in facts}
    for fact in facts:
        causes = [by_digest.get(digest) for digest in fact.event.parents]
        known = [cause for cause in causes if cause is not None]
        is_join = len(causes) > 1 or (fact.event.transition == JOINED_TYPE and bool(causes))
        # A missing parent is a finding of its own; a retired body names no branch any more.
        if is_join and len(known) == len(causes) and all(each.principal for each in (fact, *known)):
            gather, *ends = known
            if why := _join_problem(fact, gather.event, ends):
                yield build_finding(fact.event, FindingKind.JOIN_UNFOUNDED, why, "parents")


def _join_problem(join: EventFact, gather: Transition, ends: Sequence[EventFact]) -> str:
    if gather.transition != GatherBranches.__name__ or join.event.node_from != CASE_MANAGER:
        return "it has several parents, and is no join of the case manager's"
    branches, may_be_late = gather.siblings - 1, gather.time_limit_ms is not None
    if len(ends) > branches or (len(ends) < branches and not may_be_late):
        return f"it joins {len(ends)} branches of {branches}"
    found = dict.fromkeys(range(branches), LATE_END)
    before = -1
    for place, end in enumerate(ends):
        number = place if not may_be_late or end.branch is None else end.branch.number
        is_end = end.event.transition == JoinBranch.__name__ and before < number < branches
        if not is_end or end.branch != Branch(gather=gather.event_id, number=number):
            return f"{end.event.transition} {end.event.event_id} is not the end of branch {number}"
        found[number], before = " ".join(end.ends), number
    if join.event.transition == FAILED_TYPE:
        return "" if all(each.startswith("failure ") for each in found.values()) else "a branch has a result"
    return "" if list(found.values()) == list(join.ends) else "its results are not those of its branches"


def _check_endings(events: Sequence[Transition], by_digest: Mapping[str, Transition]) -> Iterator[Finding]:
    """The findings about the endings and retries; `events` are in the order of recording."""
    attempts = _attempts_by_digest(events)
    endings: dict[str, Transition] = {}
    for event in events:
        # With a missing parent the attempt is unknown; the missing parent is the finding.
        if event.terminal and (attempt := attempts[event.transcript_hash]) is not None:
            if before := endings.get(attempt):
                why = f"the case was already ended by {before.transition} {before.event_id}"
                yield build_finding(event, FindingKind.SECOND_ENDING, why, "terminal")
            endings.setdefault(attempt, event)
    for event in events:
        if event.transition == RETRIED_TYPE and len(event.parents) == 1 and event.parents[0] in by_digest:
            failure, why = by_digest[event.parents[0]], ""
            attempt = attempts[failure.transcript_hash]
            ending = None if attempt is None else endings.get(attempt)
            if failure.transition != FAILED_TYPE:
                why = f"its parent is {failure.transition}; only a failure can be retried"
            elif ending is None:
                why = "the failed attempt has no ending in the log"
            elif failure.transcript_hash not in _ancestors(ending, by_digest):
                why = f"the case was ended by {ending.event_id}, not because of this failure"
            if why:
                yield build_finding(event, FindingKind.RETRY_UNFOUNDED, why, "parents")


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
