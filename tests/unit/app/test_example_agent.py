"""The example of docs/build/adding-an-agent.md: the page quotes its files, and they run."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterator
from types import ModuleType

import pytest
from pydantic_ai.models.test import TestModel

import services.specialists
from latency_failover import FailoverModel
from switchyard.protocol.fields import Artefact
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.core.task import Task
from tests.e2e.test_adding_an_agent import EXAMPLE, FILES, PLACES, blocks
from tests.reference import read_event
from tests.unit.protocol.bus_events import delivered, golden

QUOTED = blocks().keys() - PLACES.keys()


@pytest.fixture
def agent() -> Iterator[ModuleType]:
    """The example's module `agent`, at the place where the page puts it."""
    folder = str(EXAMPLE / "services" / "specialists")
    services.specialists.__path__.append(folder)
    yield importlib.import_module("services.specialists.unit_converter.agent")
    services.specialists.__path__.remove(folder)


@pytest.mark.parametrize("name", sorted(QUOTED))
def test_quoted_code_is_the_examples_file(name: str) -> None:
    assert (EXAMPLE / name).read_text(encoding="utf-8") == blocks()[name]


def test_page_quotes_or_links_every_file_of_the_example() -> None:
    assert {"services/specialists/unit_converter/agent.py"} == FILES - QUOTED


class PlainArtefacts:
    """Artefacts without a vault: one question, and what is written."""

    def __init__(self, question: str) -> None:
        self.question = question
        self.written: dict[str, bytes] = {}

    async def read(self, *_: object) -> bytes:
        return self.question.encode()

    async def write(self, _: object, name: str, data: bytes, *, media_type: str) -> Artefact:
        self.written[name] = data
        return Artefact(name=name, sha256=hashlib.sha256(data).hexdigest(), size=len(data), media_type=media_type)


async def test_example_handler_answers_with_the_converted_amount(agent: ModuleType) -> None:
    handlers = importlib.import_module("services.specialists.unit_converter.handlers")
    artefacts = PlainArtefacts("Convert 1250 bbl to m3.")
    reading = {"amount": "1250", "source": "bbl", "target": "m3"}
    scripted = [TestModel(model_name=name, custom_output_args=reading) for name in ("primary", "fallback")]
    model = FailoverModel(*scripted)
    task = Task(read_event(delivered(golden("AnswerQuestion")), node="text_to_sql"), 1, None)
    result = await handlers.answer_question(task, artefacts=artefacts, model=model, agent=agent.build_agent(model))
    assert json.loads(artefacts.written["findings"])["summary"] == "1250 bbl is 198.73412 m3."
    assert (result.payload.rows, result.model_call.model_id) == (1, "primary")


def test_example_without_two_units_of_a_quantity_is_not_converted(agent: ModuleType) -> None:
    with pytest.raises(PermanentTaskError, match="no two units of the same quantity"):
        agent.convert(agent.Reading(amount="1", source="bbl", target="kPa"))
