"""Runs a recorded case again in memory: chosen agents answer their recorded commands anew, the pure router goes on from
the first answer that differs, and the first step that may not be repeated ends it. Nothing is published or stored."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from switchyard.audit.what_if.agents import FixedClock, NotAnswerable, ScratchArtefacts, WhatIfAgent, WhatIfSetup
from switchyard.audit.what_if.answers import compared_fields, describe_ways, find_artefacts, name_outcome
from switchyard.audit.what_if.comparison import AnswerSide, CaseWhatIf, TaskComparison
from switchyard.protocol.catalogue import ROUTER
from switchyard.protocol.derive import build_task_failed, derive_event, stamp_event
from switchyard.protocol.envelope import SOURCE_PREFIX
from switchyard.protocol.events.router import CloseCase
from switchyard.protocol.fields import Artefact, Contract, Json, StorageRef
from switchyard.protocol.received import ReceivedEvent, read_event
from switchyard.router.decisions import decide_routing
from switchyard.router.playbook import Playbook, RoutingTable
from switchyard.router.state_seal import RecordedSeal
from switchyard.runtime.core.errors import RetryableTaskError, TaskError
from switchyard.runtime.core.task import Task, TaskHandler, TaskResult
from switchyard.runtime.storage.artefacts import Artefacts

MAX_STEPS = 12
"""Tasks that are run after the first difference: a draft may be revised several times."""

_NOT_PERMITTED = "model_not_permitted"


class _Refused(Exception):
    """The case cannot be run again: the text says why."""


@dataclass(frozen=True)
class AgentPlan:
    """How an agent takes part."""

    agent: WhatIfAgent
    again: bool
    """Whether it answers recorded commands anew; else it answers only what follows from a difference."""
    model: Callable[[Sequence[str]], Awaitable[Any]]
    """The model for a task, given the digests of the bundles that ran in the case, the agent's own first."""
    prompts: Mapping[str, str]
    pack: str | None = None
    asks: bool = False
    """Whether it is given a model."""


@dataclass(frozen=True)
class WhatIf:
    """What is tried, on any number of cases."""

    table: RoutingTable
    plans: Mapping[str, AgentPlan]
    artefacts: Artefacts
    """Reads as a reviewer."""
    read_text: Callable[[Mapping[str, Any], bytes], str | None]
    """What a person reads of an artefact; None if it is of no text."""
    playbook: Playbook | None = None

    async def run(self, case_id: str, outcome: str, bodies: Sequence[str]) -> CaseWhatIf:
        """Run one case, given its events in causal order. Its chain must hold."""
        try:
            tasks, ended = await _CaseRun(self, case_id, bodies).run()
        except _Refused as problem:
            return CaseWhatIf(case_id, outcome, refused=str(problem))
        return CaseWhatIf(case_id, outcome, tuple(tasks), ended)


class _CaseRun:
    """One case while it is run again."""

    def __init__(self, what_if: WhatIf, case_id: str, bodies: Sequence[str]) -> None:
        self._what_if = what_if
        self._case_id = case_id
        self._bodies = bodies
        self._events: list[Json] = [json.loads(body)["detail"] for body in bodies]
        self._answers = {
            (event["parents"][0], event["node_from"]): event
            for event in self._events
            if event["parents"] and event.get("ordinal", 0) == 0
        }
        self._scratch = ScratchArtefacts(what_if.artefacts)
        self._moment = self._events[0]["occurred_at"]
        self._table = what_if.table

    async def run(self) -> tuple[list[TaskComparison], str]:
        """The tasks that were tried, and where the case would have gone from the first difference on."""
        tasks: list[TaskComparison] = []
        if self._what_if.playbook is not None:
            tasks.append(self._decide_again(self._what_if.playbook))
            if tasks[0].differs:
                return tasks, "has no recorded answers: they belong to other commands"
        for body, event in zip(self._bodies, self._events, strict=True):
            plan = self._what_if.plans.get(event["node_to"])
            answer = self._answers.get((event["digest"], event["node_to"]))
            if event["node_from"] != ROUTER or plan is None or not plan.again or answer is None:
                continue
            self._moment = answer["occurred_at"]
            tried = await self._try(body, plan, answer)
            if tried is None:
                continue
            compared, new = tried
            tasks.append(compared)
            if compared.differs and new is not None:
                followed, ended = await self._go_on(new)
                return [*tasks, *followed], ended
        return tasks, ""

    def _decide_again(self, playbook: Playbook) -> TaskComparison:
        """Each decision under another playbook, up to the first that sends the case another way."""
        version = self._events[0]["playbook_version"]
        if version.partition("/")[0] != playbook.name:
            raise _Refused(f"its playbook is {version}")
        # The case keeps the version that is in its events, or each of them would differ.
        self._table = RoutingTable(self._table.catalogue, {**self._table.playbooks, version: playbook})
        decisions = 0
        for body, event in zip(self._bodies, self._events, strict=True):
            recorded = [
                each for each in self._events if each["node_from"] == ROUTER and event["digest"] in each["parents"]
            ]
            if event["node_to"] != ROUTER or not recorded:
                continue
            decision = decide_routing(body, RecordedSeal(), self._table)
            then, now = describe_ways(recorded), describe_ways(decision.events)
            if decision.rejection is not None:
                now = f"refused: {decision.rejection.message}"
            if then != now:
                return TaskComparison(ROUTER, event["type"], AnswerSide(then), AnswerSide(now))
            decisions += 1
        same = AnswerSide("as recorded")
        return TaskComparison(ROUTER, f"{decisions} decisions", same, same)

    async def _try(self, body: str, plan: AgentPlan, answer: Json | None) -> tuple[TaskComparison, Json | None] | None:
        """A command answered anew, beside the recorded answer; None if its handler takes no part."""
        received = read_event(self._table.catalogue, body, node=json.loads(body)["detail"]["node_to"])
        node, type_ = received.envelope.node_to, received.envelope.type
        then = None if answer is None else await self._recorded_side(answer, plan)
        try:
            handler = await self._handler(plan, received, answer)
            if handler is None:
                return None
            task, new, call = await self._attempt(handler, received)
        except NotAnswerable as missing:
            return TaskComparison(node, type_, then, None, str(missing)), None
        finally:
            self._require_inputs()
        now = await self._side(new, plan, task.written_refs, call)
        return TaskComparison(node, type_, then, now), new

    async def _handler(
        self, plan: AgentPlan, received: ReceivedEvent[Contract], answer: Json | None
    ) -> TaskHandler | None:
        async def recall(name: str) -> bytes | None:
            reference = {} if answer is None else answer["payload"].get(name) or {}
            # Of several artefacts under one name, the first.
            reference = reference[0] if isinstance(reference, list) else reference
            return await self._read(answer, reference) if answer is not None and reference else None

        node = received.envelope.node_to
        bundles = [each["bundle"] for each in self._events if "bundle" in each and each["node_from"] == node]
        others = [each["bundle"] for each in self._events if "bundle" in each and each["node_from"] != node]
        setup = WhatIfSetup(
            artefacts=self._scratch,
            model=await plan.model([*bundles, *others]),
            prompts=plan.prompts,
            pack=plan.pack,
            clock=FixedClock(datetime.fromisoformat(self._moment)),
            recall=recall,
        )
        handlers = await plan.agent.build(setup)
        return handlers.get(type(received.payload))

    async def _attempt(
        self, handler: TaskHandler, received: ReceivedEvent[Contract]
    ) -> tuple[Task[Contract], Json, Any]:
        """The event that the task would have become, after as many attempts as its command allows."""
        envelope, catalogue = received.envelope, self._table.catalogue
        attempt = 0
        while True:
            attempt += 1
            task = Task(received, attempt=attempt, deadline=None)
            try:
                result = await handler(task)
            except RetryableTaskError as error:
                if attempt < envelope.budget.attempts:
                    continue
                failure: TaskError = error
            except TaskError as error:
                if error.code == _NOT_PERMITTED:
                    raise _Refused(f"{envelope.node_to}: {error.message}") from error
                failure = error
            else:
                reply = result if isinstance(result, TaskResult) else TaskResult(result)
                event = derive_event(
                    catalogue,
                    envelope,
                    reply.payload,
                    node_from=envelope.node_to,
                    state=received.raw.get("state"),
                    state_seal=envelope.state_seal,
                    storage_refs={**task.storage_refs, **task.written_refs},
                    rubric_score=reply.rubric_score,
                )
                return task, event, reply.model_call
            failed = build_task_failed(catalogue, envelope, envelope.node_to, failure, attempt)
            return task, failed, failure.model_call

    async def _go_on(self, answer: Json) -> tuple[list[TaskComparison], str]:
        """What follows from an answer that the case did not have, and what ends it."""
        tasks: list[TaskComparison] = []
        for _ in range(MAX_STEPS):
            decision = decide_routing(self._body(answer), RecordedSeal(), self._table)
            if decision.rejection is not None:
                return tasks, f"the router would refuse it: {decision.rejection.message}"
            # Beside its end a case may have steps that nothing waits for.
            ending = next((each for each in decision.events if each["type"] == CloseCase.__name__), None)
            if ending is not None:
                return tasks, f"ends as {ending['payload']['outcome']}"
            if len(decision.events) != 1:
                return tasks, f"goes on in {len(decision.events)} branches"
            (command,) = decision.events
            where = f"{command['type']} to {command['node_to']}"
            plan = self._what_if.plans.get(command["node_to"])
            if plan is None or (plan.agent.needs_model and not plan.asks):
                return tasks, f"stops before {where}"
            tried = await self._try(self._body(command), plan, None)
            if tried is None or tried[1] is None:
                return tasks, f"stops before {where}{': ' + tried[0].why if tried else ''}"
            tasks.append(tried[0])
            answer = tried[1]
        return tasks, f"stops after {MAX_STEPS} steps"

    def _body(self, event: Json) -> str:
        detail = stamp_event(event, occurred_at=self._moment, trace={})
        source = SOURCE_PREFIX + event["node_from"]
        return json.dumps({"source": source, "detail-type": event["type"], "detail": detail})

    async def _recorded_side(self, answer: Json, plan: AgentPlan) -> AnswerSide:
        call = answer.get("model_call") or {}
        return AnswerSide(
            name_outcome(answer),
            compared_fields(answer, plan.agent.no_difference),
            await self._text(answer),
            f"{call['vendor']}:{call['model_id']}" if call else None,
            call.get("input_tokens", 0),
            call.get("output_tokens", 0),
        )

    async def _side(self, event: Json, plan: AgentPlan, written: Mapping[str, StorageRef], call: Any) -> AnswerSide:
        asked = call is not None and bool(call.vendor)
        return AnswerSide(
            name_outcome(event),
            compared_fields(event, plan.agent.no_difference),
            await self._text(event, written),
            f"{call.vendor}:{call.model_id}" if asked else None,
            call.input_tokens if asked else 0,
            call.output_tokens if asked else 0,
        )

    async def _text(self, event: Json, written: Mapping[str, StorageRef] | None = None) -> str | None:
        texts = []
        for reference in find_artefacts(event["payload"]):
            shown = self._what_if.read_text(reference, await self._read(event, reference, written))
            texts += [] if shown is None else [shown]
        return "\n".join(texts) if texts else None

    async def _read(
        self, event: Json, reference: Mapping[str, Any], written: Mapping[str, StorageRef] | None = None
    ) -> bytes:
        places = {sha256: StorageRef.model_validate(ref) for sha256, ref in event.get("storage_refs", {}).items()}
        try:
            return await self._scratch.read_recorded(
                places | dict(written or {}), self._case_id, Artefact.model_validate(dict(reference))
            )
        except TaskError:
            self._require_inputs()
            raise

    def _require_inputs(self) -> None:
        if self._scratch.unreadable:
            raise _Refused(f"gone: {self._scratch.unreadable[0]}")
