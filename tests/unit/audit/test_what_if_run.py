"""A recorded case is run again in memory: the router goes on from the first difference, and stops before any effect."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from contracts.catalogue import CATALOGUE
from contracts.events.drafter import AnswerDrafted
from contracts.events.router import ChooseAgent, DraftAnswer
from contracts.events.triage import AgentChosen
from services.orchestrator.graph import PLAYBOOKS
from switchyard.audit.what_if.agents import NotAnswerable, UnaskedModel, WhatIfAgent, WhatIfSetup
from switchyard.audit.what_if.case_run import AgentPlan, WhatIf
from switchyard.audit.what_if.comparison import CaseWhatIf
from switchyard.protocol.fields import Artefact, Json
from switchyard.router.playbook import Playbook, RoutingTable, end_case, on
from switchyard.runtime.core.errors import PermanentTaskError, RetryableTaskError
from switchyard.runtime.core.task import Task, TaskHandler, TaskResult
from switchyard.runtime.storage.artefacts import Artefacts
from tests.unit.protocol.bus_events import delivered
from tests.unit.router import cases

RECORDED = "Ten wells. [F1]"
TEXT = RECORDED.encode()
ANSWER = Artefact(name="answer", sha256=hashlib.sha256(TEXT).hexdigest(), size=len(TEXT), media_type="text/plain")


class Erased:
    """The vault after the person of the case was erased."""

    async def open(self, *_: object, **__: object) -> bytes:
        raise PermanentTaskError("key_erased", "the key of the person that this is about was erased", "subject")

    async def seal(self, *_: object, **__: object) -> bytes:
        raise AssertionError("a what-if seals nothing")


class Nowhere:
    """An object store that must not be used: everything here is inline."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was used")


def recorded_case() -> list[Json]:
    drafted = cases.reply(cases.DRAFT, AnswerDrafted(answer=ANSWER, cites=("F1",)), written=(ANSWER,))
    drafted["storage_refs"][ANSWER.sha256] = {"inline": base64.b64encode(TEXT).decode()}
    return [
        cases.OPENED, cases.CHOOSE, cases.CHOSEN, cases.ANSWER_QUESTION, cases.FOUND, cases.DRAFT, drafted,
        cases.routed(drafted),
    ]  # fmt: skip


def agent(handler: Any, command: type[Any]) -> WhatIfAgent:
    async def build(setup: WhatIfSetup) -> Mapping[type[Any], TaskHandler]:
        async def answer(task: Task[Any]) -> TaskResult:
            return TaskResult(await handler(task, setup))

        return {command: answer}

    return WhatIfAgent(build, needs_model=False)


def writing(text: str) -> WhatIfAgent:
    async def draft(task: Task[DraftAnswer], setup: WhatIfSetup) -> AnswerDrafted:
        answer = await setup.artefacts.write(task, "answer", text.encode(), media_type="text/plain")
        return AnswerDrafted(answer=answer, cites=("F1",))

    return agent(draft, DraftAnswer)


def choosing(name: str) -> WhatIfAgent:
    async def choose(_: Task[ChooseAgent], __: WhatIfSetup) -> AgentChosen:
        return AgentChosen(agent=name)

    return agent(choose, ChooseAgent)


async def unasked(_: Sequence[str]) -> UnaskedModel:
    return UnaskedModel()


async def run(
    *, playbook: Playbook | None = None, events: list[Json] | None = None, **agents: WhatIfAgent
) -> CaseWhatIf:
    plans = {name: AgentPlan(each, again=True, model=unasked, prompts={}) for name, each in agents.items()}
    artefacts = Artefacts(Nowhere(), Erased(), decrypts=("answer", "question"))

    def read(reference: Mapping[str, Any], data: bytes) -> str | None:
        return data.decode() if reference["name"] == "answer" else None

    what_if = WhatIf(RoutingTable(CATALOGUE, PLAYBOOKS), plans, artefacts, read, playbook)
    bodies = [delivered(event) for event in events or recorded_case()]
    return await what_if.run(cases.OPENED["case_id"], "answered", bodies)


async def test_case_whose_answer_is_the_same_is_the_same() -> None:
    found = await run(drafter=writing(RECORDED))
    assert (found.status, found.then_goes_to) == ("same", "")
    assert [(task.node, task.task, task.same_text) for task in found.tasks] == [("drafter", "DraftAnswer", True)]


async def test_case_with_another_text_goes_on_to_its_end() -> None:
    found = await run(drafter=writing("Eleven wells. [F1]"))
    assert (found.status, found.then_goes_to) == ("differs", "ends as answered")
    assert found.tasks[0].diff == ("@@ -1 +1 @@", "-Ten wells. [F1]", "+Eleven wells. [F1]")


async def test_case_sent_to_an_agent_that_reads_foreign_data_stops_before_it() -> None:
    found = await run(triage=choosing("well_data"), drafter=writing(RECORDED))
    assert found.then_goes_to == "stops before AnswerQuestion to well_data"
    assert [task.node for task in found.tasks] == ["triage"]
    assert found.tasks[0].changes == ("agent: text_to_sql -> well_data",)


async def test_failure_is_an_outcome_after_every_attempt_that_the_command_allows() -> None:
    attempts = []

    async def fail(task: Task[DraftAnswer], _: WhatIfSetup) -> AnswerDrafted:
        attempts.append(task.attempt)
        raise RetryableTaskError("bad_draft", "the model's drafts do not cite the findings")

    found = await run(drafter=agent(fail, DraftAnswer))
    assert attempts == list(range(1, cases.DRAFT["budget"]["attempts"] + 1))
    assert found.tasks[0].now is not None
    assert found.tasks[0].now.outcome == "TaskFailed (bad_draft)"
    assert found.then_goes_to == "ends as failed"


async def test_input_that_is_gone_refuses_the_case_even_if_the_handler_goes_on() -> None:
    async def careless(task: Task[DraftAnswer], setup: WhatIfSetup) -> AnswerDrafted:
        with pytest.raises(PermanentTaskError):
            await setup.artefacts.read(task, task.payload.question)
        answer = await setup.artefacts.write(task, "answer", TEXT, media_type="text/plain")
        return AnswerDrafted(answer=answer, cites=("F1",))

    found = await run(drafter=agent(careless, DraftAnswer))
    assert (found.status, found.tasks) == ("refused", ())
    assert found.refused == "gone: question: the key of the person that this is about was erased"


async def test_data_that_no_model_may_see_refuses_the_case() -> None:
    async def forbidden(_: Task[DraftAnswer], __: WhatIfSetup) -> AnswerDrafted:
        raise PermanentTaskError("model_not_permitted", "the model policy eu permits none of: openai:x")

    found = await run(drafter=agent(forbidden, DraftAnswer))
    assert found.refused == "drafter: the model policy eu permits none of: openai:x"


async def test_task_that_nobody_can_answer_is_unknown_not_the_same() -> None:
    async def silent(_: Task[DraftAnswer], __: WhatIfSetup) -> AnswerDrafted:
        raise NotAnswerable("no judge has read this draft")

    found = await run(drafter=agent(silent, DraftAnswer))
    assert (found.status, found.tasks[0].why) == ("unknown", "no judge has read this draft")


async def test_playbook_that_decides_alike_is_the_same() -> None:
    found = await run(playbook=PLAYBOOKS["assist/1"])
    assert (found.status, found.tasks[0].task) == ("same", "4 decisions")


async def test_playbook_that_ends_otherwise_is_found_at_its_first_decision() -> None:
    released = PLAYBOOKS["assist/1"]
    changed = Playbook(
        "assist/9",
        *released.steps.values(),
        *(edge for edge in released.edges if edge.event is not AnswerDrafted),
        on(AnswerDrafted, end_case("failed")),
    )
    found = await run(playbook=changed)
    assert (found.tasks[0].task, found.status) == ("AnswerDrafted", "differs")
    assert found.tasks[0].now is not None
    assert found.tasks[0].now.outcome == "CloseCase to case_manager as failed"


async def test_playbook_of_another_kind_of_case_is_refused() -> None:
    assert (await run(playbook=PLAYBOOKS["outbound_email/1"])).refused == "its playbook is assist/1"


async def test_events_of_the_log_are_not_changed() -> None:
    events = recorded_case()
    before = json.dumps(events)
    await run(events=events, drafter=writing("Eleven wells. [F1]"))
    assert json.dumps(events) == before
