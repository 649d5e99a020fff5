"""The well-data agent: a model chooses computations by typed tool calls and words the result; code computes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field
from pydantic_ai import (
    Agent,
    ModelRetry,
    RunContext,
    Tool,
    UnexpectedModelBehavior,
    UsageLimitExceeded,
    UsageLimits,
)
from pydantic_ai.models import Model

from contracts.documents.findings import Findings
from services.specialists.well_data.field_data import FieldData
from services.specialists.well_data.findings import build_figures, build_refused
from services.specialists.well_data.results import NotComputable
from services.specialists.well_data.selection import ToolArguments
from services.specialists.well_data.store import DataRequest
from services.specialists.well_data.tools import WELL_TOOLS, WellTool
from switchyard.runtime.core.errors import PermanentTaskError, RetryableTaskError

WELL_PROMPT = (Path(__file__).parent / "prompts" / "choose.md").read_text(encoding="utf-8")
WELL_PROMPT_VERSION = f"choose/{hashlib.sha256(WELL_PROMPT.encode()).hexdigest()[:12]}"
MAX_COMPUTATIONS = 6
"""Per question: a model that goes on guessing is stopped."""
MAX_WELL_REQUESTS = 10
SHOWN_FIGURES = 40
WRONG_NAME = frozenset({"no_such_well", "ambiguous_well", "no_such_curve", "ambiguous_wellbore"})
"""Refusals that a corrected call of the same tool replaces."""

_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")

ReadData = Callable[[DataRequest], Awaitable[FieldData]]
"""Reads what the asking user may see."""


class ComputedAnswer(BaseModel):
    """The computations answer the question."""

    explanation: str = Field(description="One or two sentences; numbers as the figures have them.", max_length=600)


class NothingToCompute(BaseModel):
    """No computation can answer the question."""

    reason: str = Field(description="One sentence: why.", max_length=600)


@dataclass(frozen=True, slots=True)
class Computed:
    """One computation and what it found."""

    tool: str
    findings: Findings
    chart: str | None = None
    refused: str | None = None
    """The code of a refusal."""


@dataclass(slots=True)
class WellRun:
    """The state of one run of the agent."""

    read: ReadData
    question: str
    role: str
    done: list[Computed] = field(default_factory=list)

    async def compute(self, tool: WellTool, given: ToolArguments) -> Computed:
        """Run a computation and keep what it found; the same call again is not computed again."""
        named = {name: value for name, value in given.model_dump(mode="json").items() if value not in (None, [], {})}
        computation = f"{tool.name}({json.dumps(named, sort_keys=True)})"
        for done in self.done:
            if done.findings.computation == computation:
                return done
        if len(self.done) >= MAX_COMPUTATIONS:
            raise ModelRetry(f"{MAX_COMPUTATIONS} computations are the most. Answer from those that you have.")
        data = FieldData(None)
        try:
            data = await self.read(tool.request(given))
            result = await asyncio.to_thread(tool.compute, data, given)
            found = build_figures(result, computation=computation, role=self.role, as_of=data.as_of)
            computed = Computed(tool.name, found, result.chart)
        except NotComputable as refused:
            found = build_refused(refused, computation=computation, role=self.role, as_of=data.as_of)
            computed = Computed(tool.name, found, refused=refused.code)
        self.done.append(computed)
        return computed

    def results(self) -> list[Computed]:
        """What is to be answered: without calls that were refused for a name and then corrected."""
        right = {each.tool for each in self.done if each.refused is None}
        return [each for each in self.done if each.refused not in WRONG_NAME or each.tool not in right]


WellAgent = Agent[WellRun, ComputedAnswer | NothingToCompute]


def build_well_agent(model: Model[Any], tools: Sequence[str]) -> WellAgent:
    """The agent on this model with the tools of its card, and no others. Raises `KeyError` for an unknown one."""
    outputs: list[type[ComputedAnswer] | type[NothingToCompute]] = [ComputedAnswer, NothingToCompute]
    agent: WellAgent = Agent(
        model,
        deps_type=WellRun,
        output_type=outputs,
        name="well_data",
        instructions=WELL_PROMPT,
        tools=[_offer(WELL_TOOLS[name]) for name in tools],
        retries={"tools": 2, "output": 2},
    )

    @agent.output_validator
    def from_figures(
        context: RunContext[WellRun], output: ComputedAnswer | NothingToCompute
    ) -> ComputedAnswer | NothingToCompute:
        if isinstance(output, ComputedAnswer):
            if not context.deps.done:
                raise ModelRetry("Nothing was computed yet. Call a tool, or say that nothing can be computed.")
            if unknown := _unknown_numbers(output.explanation, context.deps):
                raise ModelRetry(f"No figure has {', '.join(unknown)}. Use the numbers as the figures have them.")
        return output

    return agent


async def compute_answer(
    question: str, *, agent: WellAgent, read: ReadData, role: str, memory: str = ""
) -> tuple[list[Computed], str]:
    """The computations that answer a question, and the model's words; none if nothing can be computed. `memory` is what
    was said before, as text for the prompt; no number in it counts as known.

    Raises `PermanentTaskError`, `RetryableTaskError`, and what `read` raises.
    """
    if not question.strip():
        raise PermanentTaskError("empty_question", "the question is empty", "question", "ask something")
    run = WellRun(read, question, role)
    prompt, usage = (
        f"<question>{question.replace('<', '&lt;')}</question>{memory}",
        UsageLimits(request_limit=MAX_WELL_REQUESTS),
    )
    try:
        output = (await agent.run(prompt, deps=run, usage_limits=usage)).output
    except UsageLimitExceeded as error:
        message = f"the model did not finish in {MAX_WELL_REQUESTS} requests"
        raise PermanentTaskError("too_many_steps", message, remedy="ask a simpler question") from error
    except UnexpectedModelBehavior as error:
        remedy = "see the prompt and the well_data evals"
        raise RetryableTaskError("bad_answer", "the model gave no usable answer", remedy=remedy) from error
    if isinstance(output, NothingToCompute):
        # What was refused by code is the better reason.
        return [each for each in run.results() if each.refused is not None], output.reason
    return run.results(), output.explanation


def _offer(tool: WellTool) -> Tool[WellRun]:
    async def call(context: RunContext[WellRun], given: Any) -> str:
        computed = await context.deps.compute(tool, given)
        found = computed.findings
        shown = {
            "summary": found.summary,
            "figures": [
                figure.model_dump(include={"name", "of", "value", "unit", "period"})
                for figure in found.figures[:SHOWN_FIGURES]
            ],
            "not_known": found.not_known,
        }
        return json.dumps(shown, ensure_ascii=False)

    call.__annotations__ = {"context": RunContext[WellRun], "given": tool.arguments, "return": str}
    return Tool(call, takes_ctx=True, name=tool.name, description=tool.description)


def _unknown_numbers(text: str, run: WellRun) -> list[str]:
    """The numbers of a text that neither the findings nor the question have."""
    known = " ".join([run.question, *(each.findings.model_dump_json() for each in run.done)])
    have = {_plain(number) for number in _NUMBER.findall(known)}
    return [number for number in _NUMBER.findall(text) if _plain(number) not in have]


def _plain(number: str) -> str:
    text = number.replace(",", "").rstrip(".")
    return text.rstrip("0").rstrip(".") if "." in text else text
