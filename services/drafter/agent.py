"""The answer agent: prompt, check, factory."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_ai import Agent, ModelRetry, RunContext, UnexpectedModelBehavior
from pydantic_ai.models import Model

from switchyard.runtime.core.errors import RetryableTaskError

ANSWER_PROMPT = (Path(__file__).parent / "prompts" / "answer.md").read_text(encoding="utf-8")
ANSWER_PROMPT_VERSION = f"answer/{hashlib.sha256(ANSWER_PROMPT.encode()).hexdigest()[:12]}"
MAX_PROMPT_ROWS = 40
"""Rows and figures of a finding that the model sees; the finding says whether there are more."""

_CITE = re.compile(r"\[(F\d+)\]")


@dataclass(frozen=True)
class AnswerDraft:
    """A checked answer and the findings that it cites, in order of their first mention."""

    text: str
    cites: tuple[str, ...]


def check_draft(text: str, known: frozenset[str]) -> AnswerDraft:
    """Check a draft. Raises `ValueError`, worded for the model, unless it is text that cites known findings only."""
    cites = tuple(dict.fromkeys(_CITE.findall(text)))
    if not text.strip():
        raise ValueError("The answer is empty. Write it.")
    if not cites:
        raise ValueError(f"Cite the findings that you use, by id: {', '.join(sorted(known))}.")
    if unknown := set(cites) - known:
        raise ValueError(f"There is no finding {', '.join(sorted(unknown))}; cite {', '.join(sorted(known))} only.")
    return AnswerDraft(text.strip(), cites)


def build_answer_agent(model: Model[Any], prompt: str = ANSWER_PROMPT) -> Agent[frozenset[str], str]:
    """The agent on this model. Its dependency is the set of ids that may be cited."""
    agent = Agent(model, deps_type=frozenset[str], output_type=str, instructions=prompt, retries={"output": 2})

    @agent.output_validator
    def cited(context: RunContext[frozenset[str]], text: str) -> str:
        try:
            return check_draft(text, context.deps).text
        except ValueError as problem:
            raise ModelRetry(str(problem)) from None

    return agent


async def write_answer(
    agent: Agent[frozenset[str], str], question: str, findings: list[dict[str, Any]], *, memory: str = ""
) -> AnswerDraft:
    """Write the answer. `memory` is what was said before, as text for the prompt. Raises `RetryableTaskError` if the
    model's drafts do not pass the check."""
    known = frozenset(finding["id"] for finding in findings)
    try:
        result = await agent.run(build_answer_prompt(question, findings) + memory, deps=known)
    except UnexpectedModelBehavior as error:
        message, remedy = "the model's drafts do not cite the findings", "see the prompt and the model's evals"
        raise RetryableTaskError("bad_draft", message, remedy=remedy) from error
    return check_draft(result.output, known)


def build_answer_prompt(question: str, findings: list[dict[str, Any]]) -> str:
    """The user message. Angle brackets in data are escaped, so that no text can close its element."""
    shown = [
        finding | {name: finding[name][:MAX_PROMPT_ROWS] for name in ("rows", "figures") if name in finding}
        for finding in findings
    ]
    rows = escape_markup(json.dumps(shown, ensure_ascii=False))
    return f"<question>{escape_markup(question)}</question>\n<findings>{rows}</findings>"


def escape_markup(text: str) -> str:
    """Text that cannot close an element of a prompt."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e")
