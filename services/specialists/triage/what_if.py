"""Triage in a what-if: its own handler, with another prompt or another model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from contracts.cards import AGENT_CARDS
from contracts.events.router import ChooseAgent
from services.specialists.triage.agent import TRIAGE_PROMPT, build_triage_agent
from services.specialists.triage.handlers import choose_agent
from switchyard.app.cards import specialist_cards
from switchyard.audit.what_if.agents import NotAnswerable, WhatIfAgent, WhatIfSetup
from switchyard.runtime.core.task import TaskHandler


async def build_what_if(setup: WhatIfSetup) -> Mapping[type[Any], TaskHandler]:
    """The handler. Raises `NotAnswerable` without a model."""
    if not setup.asks:
        raise NotAnswerable("triage chooses nothing without a model: name one with --model")
    agent = build_triage_agent(setup.model, specialist_cards(AGENT_CARDS.values()), setup.prompts["choose"])
    return {ChooseAgent: partial(choose_agent, artefacts=setup.artefacts, model=setup.model, agent=agent)}


WHAT_IF = WhatIfAgent(build_what_if, {"choose": TRIAGE_PROMPT})
