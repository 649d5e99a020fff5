"""The triage agent: prompt, output model, factory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field
from pydantic_ai import Agent, ModelRetry, RunContext, UnexpectedModelBehavior
from pydantic_ai.models import Model

from switchyard.app.cards import AgentCard
from switchyard.runtime.core.errors import PermanentTaskError, RetryableTaskError

TRIAGE_PROMPT = (Path(__file__).parent / "prompts" / "choose.md").read_text(encoding="utf-8")
TRIAGE_PROMPT_VERSION = f"choose/{hashlib.sha256(TRIAGE_PROMPT.encode()).hexdigest()[:12]}"
NO_AGENT = "none"


class QuestionPart(BaseModel):
    """One specialist's part of a question."""

    agent: str = Field(description="The name on the card.")
    question: str = Field(
        description="What this agent is asked, complete in itself, in the words of the question.", max_length=2_000
    )


class AgentChoice(BaseModel):
    """The chosen agent, or `none`, and the reason; `parts` if several agents are needed."""

    agent: str = Field(description="The name on the card, or `none`. Of several, the first.")
    parts: list[QuestionPart] = Field(default=[], description="Only if several agents are needed: each one's part.")
    mode: Literal["parallel", "sequence"] = Field(
        default="parallel", description="Of several: `sequence` if a later part needs what an earlier one finds."
    )
    why: str = Field(description="One short sentence.", max_length=400)

    @property
    def agents(self) -> list[str]:
        """The chosen agents, in order."""
        if self.parts:
            return [part.agent for part in self.parts]
        return [] if self.agent == NO_AGENT else [self.agent]


def build_triage_agent(
    model: Model[Any], cards: Sequence[AgentCard], prompt: str = TRIAGE_PROMPT
) -> Agent[int, AgentChoice]:
    """The agent on this model, choosing among `cards`. Its dependency is how many it may choose."""
    names = {card.name for card in cards} | {NO_AGENT}
    agent = Agent(
        model,
        deps_type=int,
        output_type=AgentChoice,
        instructions=f"{prompt}\n{_describe_cards(cards)}",
        retries={"output": 2},
    )

    @agent.output_validator
    def on_a_card(context: RunContext[int], choice: AgentChoice) -> AgentChoice:
        try:
            return check_choice(choice, names, at_most=context.deps)
        except ValueError as problem:
            raise ModelRetry(str(problem)) from None

    return agent


def check_choice(choice: AgentChoice, names: set[str], *, at_most: int) -> AgentChoice:
    """The choice; of one part only, that agent for the whole question. Raises `ValueError`, worded for the model, for
    an agent without a card, too many parts, or a part without a question."""
    if not set(choice.agents) <= names - {NO_AGENT}:
        raise ValueError(f"There is no agent of that name. Choose among: {', '.join(sorted(names))}.")
    if len(choice.parts) == 1 or at_most <= 1:
        return AgentChoice(agent=choice.agents[0] if choice.agents else NO_AGENT, why=choice.why)
    if len(choice.parts) > at_most:
        raise ValueError(f"Choose at most {at_most} agents.")
    if not all(part.question.strip() for part in choice.parts):
        raise ValueError("Give each agent its part of the question.")
    return choice


async def choose_specialist(
    agent: Agent[int, AgentChoice], question: str, *, at_most: int = 1, memory: str = ""
) -> AgentChoice:
    """Choose for one question. `memory` is what was said before, as text for the prompt.

    Raises `PermanentTaskError` for an empty question, `RetryableTaskError` if the model names no existing agent.
    """
    if not question.strip():
        raise PermanentTaskError("empty_question", "the question is empty", "question", "ask something")
    try:
        result = await agent.run(f"<question>{question.replace('<', '&lt;')}</question>{memory}", deps=at_most)
    except UnexpectedModelBehavior as error:
        raise RetryableTaskError(
            "bad_choice", "the model did not choose an agent that exists", remedy="see the prompt and the triage evals"
        ) from error
    return result.output


def _describe_cards(cards: Sequence[AgentCard]) -> str:
    shown = [card.model_dump(mode="json", include={"name", "purpose", "examples", "not_for"}) for card in cards]
    return f"<cards>{json.dumps(shown, ensure_ascii=False)}</cards>"
