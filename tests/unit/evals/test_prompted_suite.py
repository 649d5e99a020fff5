"""Suites that are a file: what they measure, and what is wrong with a file."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from switchyard.evals.prompted_suite import DatasetError, differences, read_dataset, run_prompted_suite
from switchyard.evals.results import EvalRun

AGENT = "agent: suite_agent:build\nprompt: suite_agent:PROMPT\n"


class Label(BaseModel):
    """An output."""

    topic: str
    urgent: bool = False


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("suite_agent")
    module.__dict__.update(PROMPT="Label it.", build=lambda model: Agent(model, output_type=Label))
    monkeypatch.setitem(sys.modules, "suite_agent", module)


def answers(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """Labels what is between the tags."""
    text = str(messages[0].parts[-1].content)  # type: ignore[union-attr]
    topic = "refund" if "money" in text else "other"
    return ModelResponse(parts=[ToolCallPart(info.output_tools[0].name, {"topic": topic, "urgent": "<data>" in text})])


@pytest.mark.usefixtures("seen")
async def test_suite_counts_cases_and_reports_what_must_never_happen(tmp_path: Path) -> None:
    file = tmp_path / "labels.yaml"
    file.write_text(
        AGENT + "cases:\n"
        "  - {id: right, text: 'my money', expect: {topic: refund, urgent: true}}\n"
        "  - {id: wrong, text: 'hello', expect: {topic: refund}, never: true}\n",
        encoding="utf-8",
    )
    result = await run_prompted_suite(file, FunctionModel(answers), EvalRun("simulator"))
    assert [(case.id, case.passes) for case in result.cases] == [("right", 1), ("wrong", 0)]
    assert result.violations == ("wrong: topic is 'other' instead of 'refund'",)
    assert result.suite == "labels"
    assert result.deterministic


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("cases: [", "is not YAML"),
        (AGENT + "cases: []", "cases: "),
        (AGENT + "cases: [{id: a, text: b, expect: {}}]", r"cases\.0\.expect"),
        (AGENT + "cases: [{id: a, text: b, expect: {x: 1}}, {id: a, text: c, expect: {x: 1}}]", "two are named a"),
        (AGENT + "cases: [{id: a, text: b, expects: {x: 1}}]", r"cases\.0\.expect"),
    ],
)
def test_bad_file_is_refused_by_field(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "labels.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=problem):
        read_dataset(tmp_path / "labels.yaml")


async def test_agent_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    file = tmp_path / "labels.yaml"
    file.write_text(
        "agent: absent_module:build\nprompt: absent_module:P\ncases: [{id: a, text: b, expect: {x: 1}}]",
        encoding="utf-8",
    )
    with pytest.raises(DatasetError, match="agent: absent_module:build cannot be imported"):
        await run_prompted_suite(file, FunctionModel(answers), EvalRun("simulator"))


def test_true_is_not_one() -> None:
    assert differences({"n": 1}, {"n": True}) == "n is 1 instead of True"
    assert differences({"n": True}, {"n": True}) == ""
    assert differences({}, {"n": "x"}) == "n is '(no such field)' instead of 'x'"
