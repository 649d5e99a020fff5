"""The triage agent: prompt, output model, factory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field
from pydantic_ai import Agent, ModelRetry, UnexpectedModelBehavior
from pydantic_ai.models import Model

from switchyard.app.cards import AgentCard
from switchyard.runtime.core.errors import PermanentTaskError, RetryableTaskError

TRIAGE_PROMPT = (Path(__file__).parent / "prompts" / "choose.md").read_text(encoding="utf-8")
TRIAGE_PROMPT_VERSION = f"choose/{hashlib.sha256(TRIAGE_PROMPT.encode()).hexdigest()[:12]}"
NO_AGENT = "none"


class AgentChoice(BaseModel):
    """The chosen agent, or `none`, and why."""

    agent: str = Field(description="The name on the card, or `none`.")
    why: str = Field(description="One short sentence.", max_length=400)


def build_triage_agent(model: Model[Any], cards: Sequence[AgentCard]) -> Agent[None, AgentChoice]:
    """The agent over a model, choosing among `cards`."""
    names = {card.name for card in cards} | {NO_AGENT}
    agent: Agent[None, AgentChoice] = Agent(
        model, output_type=AgentChoice, instructions=f"{TRIAGE_PROMPT}\n{_describe_cards(cards)}", retries={"output": 2}
    )

    @agent.output_validator
    def on_a_card(choice: AgentChoice) -> AgentChoice:
        if choice.agent not in names:
            raise ModelRetry(f"There is no agent of that name. Choose one of: {', '.join(sorted(names))}.")
        return choice

    return agent


async def choose_specialist(agent: Agent[None, AgentChoice], question: str) -> AgentChoice:
    """Choose for one question. Raises `RetryableTaskError` if the model keeps answering nonsense."""
    if not question.strip():
        raise PermanentTaskError("empty_question", "the question is empty", "question", "ask something")
    try:
        result = await agent.run(f"<question>{question.replace('<', '&lt;')}</question>")
    except UnexpectedModelBehavior as error:
        raise RetryableTaskError(
            "bad_choice", "the model did not choose an agent that exists", remedy="see the prompt and the triage evals"
        ) from error
    return result.output


def _describe_cards(cards: Sequence[AgentCard]) -> str:
    shown = [card.model_dump(mode="json", include={"name", "purpose", "examples", "not_for"}) for card in cards]
    return f"<cards>{json.dumps(shown, ensure_ascii=False)}</cards>"
