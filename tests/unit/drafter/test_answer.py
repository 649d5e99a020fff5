"""The drafter assembles what several specialists found, and says which part is missing and why."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from contracts.events.drafter import AnswerDrafted
from contracts.events.router import DraftAnswer
from latency_failover import FailoverModel
from services.drafter.agent import build_answer_agent
from services.drafter.handlers import describe_missing, draft_answer, load_findings
from switchyard.protocol.branches import BranchFailure, BranchResult
from switchyard.protocol.fields import Artefact, Json
from switchyard.protocol.received import ReceivedEvent
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.core.task import Task, TaskResult
from switchyard.runtime.storage.artefacts import Artefacts
from tests.unit.protocol.bus_events import changed, golden, with_digest
from tests.unit.router.cases import received

DRAFT = golden("DraftAnswer")
SUBJECT = DRAFT["principal"]["subject"]
FAILURE = BranchFailure(code="time_limit", message="no result within 60000 ms")


class PlainText:
    """In place of the vault: the unit under test never sees a key."""

    async def seal(self, subject: str, plain: bytes, *, case_id: str, name: str, **_: object) -> bytes:
        return plain

    async def open(self, subject: str, sealed: bytes, *, case_id: str, name: str, **_: object) -> bytes:
        return sealed


ARTEFACTS = Artefacts(None, PlainText(), decrypts=("question", "findings", "answer"))  # type: ignore[arg-type]


class Written:
    """Artefacts of one command, and where they are."""

    def __init__(self) -> None:
        self.places: Json = {}

    def __call__(self, name: str, text: str) -> Artefact:
        data = text.encode()
        sha256 = hashlib.sha256(data).hexdigest()
        self.places[sha256] = {"inline": base64.b64encode(data).decode()}
        return Artefact(name=name, sha256=sha256, size=len(data), media_type="text/plain", subject=SUBJECT)


def result(
    write: Written, agent: str, part: str, *findings: Json, failure: BranchFailure | None = None
) -> BranchResult:
    """What became of one branch."""
    references = [write("findings", json.dumps(each)).model_dump(mode="json", exclude_none=True) for each in findings]
    answer: Any = None if failure else {"findings": references, "rows": 1}
    return BranchResult(agent=agent, part=write("question", part), answer=answer, failure=failure)


def task(write: Written, results: Sequence[BranchResult]) -> Task[DraftAnswer]:
    payload = DraftAnswer(question=write("question", "Two things?"), results=tuple(results))
    event = changed(DRAFT, "payload", payload.model_dump(mode="json", exclude_none=True)) | {
        "storage_refs": write.places
    }
    read: ReceivedEvent[Any] = received(with_digest(event))
    return Task(read, attempt=1, deadline=None)


def speaking(text: str) -> tuple[FailoverModel, list[str]]:
    """A model that says this, and the prompts that it gets."""
    prompts: list[str] = []

    def speak(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        prompts.append(str(messages[-1]))
        return ModelResponse(parts=[TextPart(text)])

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> Any:
        prompts.append(str(messages[-1]))
        yield text

    model = FunctionModel(speak, stream_function=stream)
    return FailoverModel(model, model), prompts


async def drafted(text: str, write: Written, results: Sequence[BranchResult]) -> tuple[Json, AnswerDrafted, str]:
    """The answer's document, the event and the prompt."""
    model, prompts = speaking(text)
    asked = task(write, results)
    reply: TaskResult = await draft_answer(asked, artefacts=ARTEFACTS, model=model, agent=build_answer_agent(model))
    assert isinstance(reply.payload, AnswerDrafted)
    place = asked.written_refs[reply.payload.answer.sha256]
    return json.loads(base64.b64decode(place.inline or "")), reply.payload, prompts[0]


async def test_findings_of_several_specialists_are_numbered_in_branch_order() -> None:
    write = Written()
    results = [
        result(write, "well_data", "Who fell?", {"summary": "A fell"}, {"summary": "B fell"}),
        result(write, "field_routing", "Who goes?", {"summary": "Rosa goes", "sql": "SELECT 1"}),
    ]
    document, event, prompt = await drafted("A and B fell [F1][F2]. Rosa goes [F3].", write, results)
    assert event.cites == ("F1", "F2", "F3")
    assert document["citations"][2] == {"id": "F3", "sql": "SELECT 1"}
    assert prompt.index("A fell") < prompt.index("B fell") < prompt.index("Rosa goes")
    assert "Who goes?" in prompt
    assert "missing" not in document


async def test_answer_without_a_part_says_what_is_missing_and_why() -> None:
    write = Written()
    results = [
        result(write, "well_data", "Who fell?", failure=FAILURE),
        result(write, "text_to_sql", "How many?", {"summary": "12"}),
        result(write, "field_routing", "Who goes?", failure=BranchFailure(code="not_started", message="")),
    ]
    document, _, prompt = await drafted("There are 12 [F1].", write, results)
    assert document["text"].splitlines() == [
        "There are 12 [F1].",
        "Not answered: Who fell? (well_data: no result within 60000 ms)",
        "Not answered: Who goes? (field_routing: not_started)",
    ]
    assert document["missing"][0] == {
        "agent": "well_data", "part": "Who fell?", "code": "time_limit", "message": "no result within 60000 ms",
    }  # fmt: skip
    assert "Who fell?" not in prompt


def _spoilt(write: Written, reference: Artefact, data: bytes | None) -> None:
    """The artefact has no place, or other bytes."""
    write.places.pop(reference.sha256)
    if data is not None:
        write.places[reference.sha256] = {"inline": base64.b64encode(data).decode()}


@pytest.mark.parametrize(("data", "code"), [(None, "artefact_missing"), (b"{}", "artefact_altered")])
async def test_finding_of_several_that_cannot_be_read_is_a_missing_part(data: bytes | None, code: str) -> None:
    write = Written()
    bad = result(write, "well_data", "Who fell?", {"summary": "A fell"}, {"summary": "B fell"})
    _spoilt(write, Artefact.model_validate_json(json.dumps(bad.answer["findings"][1])), data)  # type: ignore[index]
    found, missing = await load_findings(
        task(write, [bad, result(write, "text_to_sql", "How many?", {"summary": "12"})]), ARTEFACTS
    )
    assert [each["summary"] for each in found] == ["12"]
    assert [(each["agent"], each["part"], each["code"]) for each in missing] == [("well_data", "Who fell?", code)]
    assert missing[0]["message"]
    with pytest.raises(PermanentTaskError) as refused:
        await load_findings(task(write, [bad]), ARTEFACTS)
    assert refused.value.code == code
    with pytest.raises(PermanentTaskError) as refused:
        await load_findings(task(write, [bad, bad]), ARTEFACTS)
    assert refused.value.code == "no_findings"


@pytest.mark.parametrize("finding", ["not JSON", "[]", '{"rows": 1}'])
async def test_finding_of_several_that_is_no_finding_is_a_missing_part(finding: str) -> None:
    write = Written()
    reference = write("findings", finding).model_dump(mode="json", exclude_none=True)
    bad = BranchResult(agent="b", part=write("question", "b"), answer={"findings": [reference], "rows": 1})
    found, missing = await load_findings(task(write, [result(write, "a", "a", {"summary": "x"}), bad]), ARTEFACTS)
    assert ([each["summary"] for each in found], [each["code"] for each in missing]) == (["x"], ["bad_finding"])


async def test_part_of_several_that_cannot_be_read_is_missing_without_its_text() -> None:
    write = Written()
    results = [result(write, name, name, {"summary": name}) for name in ("a", "b")]
    failed = result(write, "c", "c", failure=FAILURE)
    for each in (results[0], failed):
        assert each.part is not None
        _spoilt(write, each.part, None)
    found, missing = await load_findings(task(write, [*results, failed]), ARTEFACTS)
    assert [each["summary"] for each in found] == ["b"]
    assert [(each["part"], each["code"]) for each in missing] == [("", "artefact_missing"), ("", "time_limit")]


async def test_part_that_is_no_utf8_is_answered_with_replaced_characters() -> None:
    write = Written()
    data = b"Who fell\xff?"
    sha256 = hashlib.sha256(data).hexdigest()
    write.places[sha256] = {"inline": base64.b64encode(data).decode()}
    part = Artefact(name="question", sha256=sha256, size=len(data), media_type="text/plain", subject=SUBJECT)
    odd = result(write, "a", "a", {"summary": "x"}).model_copy(update={"part": part})
    found, missing = await load_findings(task(write, [odd]), ARTEFACTS)
    assert ([each["part"] for each in found], missing) == (["Who fell\ufffd?"], [])


async def test_model_that_cites_a_missing_part_is_corrected_or_fails() -> None:
    from switchyard.runtime.core.errors import RetryableTaskError

    write = Written()
    results = [result(write, "well_data", "a", {"summary": "x"}), result(write, "b", "b", failure=FAILURE)]
    with pytest.raises(RetryableTaskError, match="do not cite"):
        await drafted("Both are fine [F1][F2].", write, results)


@pytest.mark.parametrize(
    "results",
    [
        lambda write: [result(write, "well_data", "a", failure=FAILURE)],
        lambda _: [],
        lambda write: [BranchResult(agent="well_data", part=write("question", "a"), answer={"rows": 1})],
    ],
)
async def test_command_without_any_finding_is_refused(results: Callable[[Written], list[BranchResult]]) -> None:
    write = Written()
    with pytest.raises(PermanentTaskError):
        await load_findings(task(write, results(write)), ARTEFACTS)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("x" * 201, "x" * 200),
        ("no\nresult\u2028 found", "no result found"),
        (" \n", "time_limit"),
        ("", "time_limit"),
    ],
)
def test_reason_of_a_missing_part_is_one_short_line(message: str, shown: str) -> None:
    part = {"agent": "well_data", "part": "Who fell?", "code": "time_limit", "message": message}
    assert describe_missing(part) == f"Not answered: Who fell? (well_data: {shown})"
