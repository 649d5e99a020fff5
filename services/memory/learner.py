"""The model's part in what is kept: asked only where the rules found nothing, and believed only word for word."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field
from pydantic_ai import Agent
from pydantic_ai.models import Model

from services.memory.statements import NOTE, SLOTS, Statement, slot_statement, verbatim

KEEP_PROMPT = (Path(__file__).parent / "prompts" / "keep.md").read_text(encoding="utf-8")
KEEP_PROMPT_VERSION = f"keep/{hashlib.sha256(KEEP_PROMPT.encode()).hexdigest()[:12]}"


class KeepChoice(BaseModel):
    """What the user wants remembered, or nothing."""

    about: Literal["nothing", "preferred_units", "basin", "favourite_wells", "note"]
    value: str = Field(default="", description="A part of the question, word for word.", max_length=300)


def build_keep_agent(model: Model[Any]) -> Agent[None, KeepChoice]:
    """The agent on this model."""
    slots = "\n".join(f"- `{name}`: {slot.about}" for name, slot in SLOTS.items())
    return Agent(model, output_type=KeepChoice, instructions=f"{KEEP_PROMPT}\n{slots}", retries={"output": 1})


async def read_choice(agent: Agent[None, KeepChoice], question: str) -> Statement | None:
    """What the model reads in a question; None unless the user said it, word for word."""
    choice = (await agent.run(f"<question>{question.replace('<', '&lt;')}</question>")).output
    if choice.about == "nothing" or not verbatim(question, choice.value):
        return None
    if choice.about == NOTE:
        return Statement("note", NOTE, choice.value.strip(), "read")
    return slot_statement(choice.about, choice.value, trust="read")
