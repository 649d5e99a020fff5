"""An application of one agent that returns the text it is given: contracts, playbook, agent and App in one file."""

from __future__ import annotations

from typing import Any, Literal

from switchyard.app.application import App, ProcessDescriptor
from switchyard.app.cards import AgentCard
from switchyard.protocol.catalogue import Catalogue, command_types, submission_types
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.fields import Artefact, Contract, Identifier, Name, Sentence
from switchyard.protocol.submissions import CaseOpening, SealedContent, Submission
from switchyard.router.playbook import Playbook, end_case, on, task_step
from switchyard.runtime.core.settings import WorkSettings
from switchyard.runtime.core.task import Task
from switchyard.runtime.process.agent import serve_agent


class TextSubmitted(Submission):
    """A text to return."""

    playbook: Literal["echo"] = "echo"
    user_id: Identifier
    text: Sentence


class TextOpened(Contract):
    """A text became a case."""

    playbook: Name
    text: Artefact


class Echo(Contract):
    """To the agent: return the text."""

    text: Artefact


class Echoed(Contract):
    """The text."""

    answer: Artefact


def open_text(submitted: TextSubmitted) -> CaseOpening:
    """The case of a text."""
    text = SealedContent(submitted.text.encode(), "text/plain")
    return CaseOpening(TextOpened, submitted.user_id, facts={"playbook": submitted.playbook}, sealed={"text": text})


async def run() -> None:
    """Serve the agent."""

    async def echo(task: Task[Echo]) -> Echoed:
        return Echoed(answer=task.payload.text)

    async def build(*_: object) -> dict[type[Any], Any]:
        return {Echo: echo}

    await serve_agent(CATALOGUE, CARD, WorkSettings(), build)


CARD = AgentCard(
    name="echo", kind="specialist", purpose="Returns a text.", consumes=("Echo",), emits=("Echoed", "TaskFailed")
)
ECHO_1 = Playbook(
    "echo/1",
    task_step("echo", Echo, attempts=3, seconds=30),
    on(TextOpened, go="echo"),
    on(Echoed, end_case("answered", "answered")),
    on(TaskFailed, end_case("failed")),
)
CATALOGUE = Catalogue(
    [CARD.name], (*submission_types(TextSubmitted, TextOpened), *command_types(CARD.name, Echo, Echoed))
)
APP = App(
    catalogue=CATALOGUE,
    cards={CARD.name: CARD},
    playbooks={ECHO_1.version: ECHO_1},
    current={ECHO_1.name: ECHO_1.version},
    submissions={TextSubmitted: open_text},
    outcomes={"answered": "reached"},
    processes=(ProcessDescriptor(CARD.name, "echo:run"),),
)
