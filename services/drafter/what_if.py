"""The drafter in a what-if: its own handlers, with other prompts or another model."""

from __future__ import annotations

from collections.abc import Mapping
from email import message_from_bytes
from email.policy import default
from functools import partial
from typing import Any

from contracts.documents.wording import WordingError, configured_wording
from contracts.events.router import DraftAnswer, DraftEmail
from services.drafter.agent import ANSWER_PROMPT, build_answer_agent
from services.drafter.email import EMAIL_PROMPT, build_email_agent
from services.drafter.handlers import draft_answer, draft_email
from switchyard.audit.what_if.agents import InvalidWhatIf, NotAnswerable, WhatIfAgent, WhatIfSetup
from switchyard.runtime.core.task import TaskHandler

NO_LINK = "https://what-if.invalid/o/what-if"
"""In a draft that the case did not have: no what-if signs a link."""


async def build_what_if(setup: WhatIfSetup) -> Mapping[type[Any], TaskHandler]:
    """The handlers. Raises `NotAnswerable` without a model, `InvalidWhatIf` for an invalid wording."""
    if not setup.asks:
        raise NotAnswerable("the drafter writes nothing without a model: name one with --model")
    recorded = await setup.recall("email")
    link = NO_LINK if recorded is None else _opt_out_link(recorded)
    try:
        wording = configured_wording()
    except WordingError as error:
        raise InvalidWhatIf(str(error)) from error
    answer = build_answer_agent(setup.model, setup.prompts["answer"])
    email = build_email_agent(setup.model, setup.prompts["email"])
    bound: dict[str, Any] = {"artefacts": setup.artefacts, "model": setup.model}
    return {
        DraftAnswer: partial(draft_answer, **bound, agent=answer),
        DraftEmail: partial(
            draft_email, **bound, agent=email, opt_out_link=lambda _: link, clock=setup.clock, wording=wording
        ),
    }


def _opt_out_link(message: bytes) -> str:
    """The link of the recorded draft, so that only the model's words differ."""
    header = str(message_from_bytes(message, policy=default)["List-Unsubscribe"] or "")
    return header.strip().removeprefix("<").removesuffix(">") or NO_LINK


WHAT_IF = WhatIfAgent(build_what_if, {"answer": ANSWER_PROMPT, "email": EMAIL_PROMPT})
