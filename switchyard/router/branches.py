"""Fan-out and join: one command per branch, and one to the case manager, which waits for them. Pure.

A branch gets its part of what is asked and what earlier branches found, and nothing else of the case. Everything in it
carries its number in the envelope, sealed: so also a failure, which has no state, says where it belongs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from switchyard.protocol.branches import Branch, BranchFailure, PlannedBranch, split_tokens
from switchyard.protocol.canonical import canonical_json
from switchyard.protocol.catalogue import ROUTER, Catalogue
from switchyard.protocol.derive import derive_event
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.errors import InvalidEvent, invalid
from switchyard.protocol.events.case_manager import BranchesJoined
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.events.router import GatherBranches, JoinBranch
from switchyard.protocol.fields import Contract, Json, TaskBudget
from switchyard.protocol.received import ReceivedEvent
from switchyard.router.case_state import BranchPlan, CaseState
from switchyard.router.commands import build_command, describe_failure, needed_storage_refs, seal_command
from switchyard.router.playbook import SPECIALIST, Playbook, PlaybookEdge, PlaybookStep
from switchyard.router.state_seal import StateSeal

_REFERENCE = {"name", "sha256", "size", "media_type"}
MAX_ANSWER_BYTES = 4_000
"""Of a branch, as canonical JSON: those of three branches fit into the state, together with the rest of it. The texts
of a failure that is larger are cut short."""

_SHORT_CHARS = 200

_TOO_LARGE = BranchFailure(
    code="too_large",
    message=f"The answer is larger than {MAX_ANSWER_BYTES} bytes.",
    remedy="put the large part in an artefact",
)
_UNKNOWN_AGENT = BranchFailure(code="unknown_agent", message="The chosen agent is not deployed.")


def fan_out(
    catalogue: Catalogue,
    event: ReceivedEvent[Contract],
    playbook: Playbook,
    step: PlaybookStep,
    state: CaseState,
    *,
    tokens: int,
    seal: StateSeal,
) -> list[Json]:
    """The gather of the plan's next branches, and the first command of each. Raises `InvalidEvent` for more branches
    than the playbook allows."""
    plan = state.plan or BranchPlan(mode="parallel", branches=())
    branches, siblings = plan.next_branches, len(plan.next_branches) + 1
    if len(plan.branches) > step.at_most:
        remedy = f"choose at most {step.at_most}"
        raise invalid(f"{len(plan.branches)} branches: {playbook.version} allows fewer", "payload.branches", remedy)
    waiting = state.model_copy(update={"step": step.name, "node": step.node})
    handed = waiting.model_dump(mode="json", exclude_none=True)
    gather = derive_event(
        catalogue,
        event.envelope,
        GatherBranches(branches=branches, earlier=plan.has_result or step.asks is not None),
        node_from=ROUTER,
        siblings=siblings,
        state=handed,
        storage_refs=needed_storage_refs(event, handed),
        time_limit_ms=step.seconds * 1_000 or None,
        later_p95_ms=playbook.later_p95_ms(catalogue, step.name),
        budget=TaskBudget(attempts=step.attempts, tokens=tokens),
    )
    events = [seal_command(gather, seal)]
    later = playbook.later_p95_ms(catalogue, step.name)
    first = playbook.steps[step.branch[0]]
    steps_left = len(plan.branches) - len(plan.results) - len(branches)
    for number, (branch, share) in enumerate(zip(branches, split_tokens(tokens, len(branches)), strict=True)):
        place = Branch(gather=gather["event_id"], number=number)
        if first.node == SPECIALIST and branch.agent not in catalogue.of(first.command).consumers:
            events.append(
                _branch_end(
                    catalogue,
                    event,
                    JoinBranch(failure=_UNKNOWN_AGENT),
                    tokens=share,
                    branch=place,
                    ordinal=number + 1,
                    siblings=siblings,
                )
            )
            continue
        events.append(
            build_command(
                catalogue,
                event,
                playbook,
                first,
                _branch_state(state, branch, plan, step),
                seal=seal,
                tokens=share,
                later_p95_ms=None if later is None else later + steps_left * 1_000 * (first.p95 or 0),
                branch=place,
                ordinal=number + 1,
                siblings=siblings,
            )
        )
    return events


def leaves_branch(playbook: Playbook, state: CaseState | None, edge: PlaybookEdge) -> bool:
    """Whether an event that takes this edge is the end of its branch."""
    gather = playbook.steps.get((state.gather if state else None) or "")
    return gather is not None and edge.go not in gather.branch


def end_branch(catalogue: Catalogue, event: ReceivedEvent[Contract], edge: PlaybookEdge | None) -> Json:
    """The end of a branch, for the case manager: the answer of its last event, or why it has no result."""
    payload, failure = event.payload, None
    if isinstance(payload, TaskFailed):
        failure = BranchFailure(
            code=payload.code, message=describe_failure(payload), field=payload.field, remedy=payload.remedy
        )
    elif edge is not None and edge.end is not None:
        code = edge.end.code or str(getattr(payload, "code", edge.end.outcome))
        failure = BranchFailure(code=code, message=edge.end.message or getattr(payload, "message", ""))
    answer = None if failure else payload.model_dump(mode="json", exclude_none=True)
    if answer is not None and len(canonical_json(answer)) > MAX_ANSWER_BYTES:
        answer, failure = None, _TOO_LARGE
    if failure is not None and len(canonical_json(failure.model_dump(mode="json"))) > MAX_ANSWER_BYTES:
        remedy = failure.remedy and failure.remedy[:_SHORT_CHARS]
        failure = failure.model_copy(update={"message": failure.message[:_SHORT_CHARS], "remedy": remedy})
    end = JoinBranch(answer=answer, failure=failure)
    return _branch_end(catalogue, event, end, tokens=_tokens_left(event.envelope))


def fail_branch(catalogue: Catalogue, envelope: Envelope, rejection: InvalidEvent) -> Json:
    """The end of a branch whose authentic event cannot be routed. The others' results still count."""
    failure = BranchFailure(
        code=f"{rejection.reason}_event",
        message=rejection.message[:_SHORT_CHARS],
        field=rejection.field and rejection.field[:_SHORT_CHARS],
        remedy=rejection.remedy and rejection.remedy[:_SHORT_CHARS],
    )
    budget = TaskBudget(attempts=1, tokens=_tokens_left(envelope))
    return derive_event(catalogue, envelope, JoinBranch(failure=failure), node_from=ROUTER, budget=budget)


def join_results(state: CaseState, joined: BranchesJoined) -> CaseState:
    """The state of a case whose branches have been joined, with their results in the plan and as the fact `results`."""
    plan = state.plan or BranchPlan(mode="parallel", branches=())
    plan = plan.model_copy(update={"results": (*plan.results, *joined.results)})
    if plan.next_branches:
        # The plan has these results, too.
        left = {name: value for name, value in (state.facts or {}).items() if name != "results"}
        return state.model_copy(update={"plan": plan, "facts": left or None})
    facts: dict[str, JsonValue] = {**(state.facts or {}), "results": list(plan.all_results())}
    return state.model_copy(update={"plan": None, "facts": facts})


def keep_answers(state: CaseState, joined: BranchesJoined) -> CaseState:
    """The state of a case that asked one agent for what it can go on without: with the artefacts of the answer, if
    there is one."""
    found = {
        name: value
        for result in joined.results
        for name, value in (result.answer or {}).items()
        if isinstance(value, dict) and value.keys() >= _REFERENCE
    }
    facts = {name: value for name, value in (state.facts or {}).items() if name != "results"}
    return state.model_copy(update={"plan": None, "artefacts": {**state.artefacts, **found}, "facts": facts or None})


def next_tokens(event: ReceivedEvent[Contract]) -> int:
    """The token budget of what follows from an event: what is left. A budget that is spent is 1: 0 means that none is
    set."""
    if not event.envelope.budget.tokens:
        return 0
    return max(1, event.payload.tokens if isinstance(event.payload, BranchesJoined) else _tokens_left(event.envelope))


def _tokens_left(envelope: Envelope) -> int:
    call = envelope.model_call
    spent = 0 if call is None else call.input_tokens + call.output_tokens + call.loser_tokens
    return max(0, envelope.budget.tokens - spent)


def _branch_state(state: CaseState, branch: PlannedBranch, plan: BranchPlan, gather: PlaybookStep) -> CaseState:
    part: dict[str, JsonValue] = dict(state.artefacts)
    if branch.part is not None:
        part = {"part": branch.part.model_dump(mode="json", exclude_none=True)}
    found = _found([result.answer for result in plan.results if result.answer is not None])
    # What a playbook's own question needs besides, it is granted by name.
    facts = state.facts if gather.asks is not None else None
    return CaseState(
        step="intake", node=ROUTER, agent=branch.agent, artefacts=part | found, facts=facts, gather=gather.name
    )


def _found(answers: Sequence[Mapping[str, JsonValue]]) -> dict[str, JsonValue]:
    """The artefacts of several answers, under the names of their fields, in order."""
    found: dict[str, list[JsonValue]] = {}
    for answer in answers:
        for name, value in answer.items():
            several = value if isinstance(value, list) else [value]
            references = [each for each in several if isinstance(each, dict) and each.keys() >= _REFERENCE]
            if references:
                found.setdefault(name, []).extend(references)
    return {name: list(references) for name, references in found.items()}


def _branch_end(
    catalogue: Catalogue,
    event: ReceivedEvent[Contract],
    end: JoinBranch,
    *,
    tokens: int,
    branch: Branch | None = None,
    ordinal: int = 0,
    siblings: int = 1,
) -> Json:
    return derive_event(
        catalogue,
        event.envelope,
        end,
        node_from=ROUTER,
        ordinal=ordinal,
        siblings=siblings,
        storage_refs=needed_storage_refs(event, end.answer or {}),
        budget=TaskBudget(attempts=1, tokens=tokens),
        branch=branch,
    )
