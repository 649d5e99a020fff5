"""What triage emits."""

from __future__ import annotations

from switchyard.protocol.branches import FanOut
from switchyard.protocol.fields import Contract, Name, Sentence


class AgentChosen(Contract):
    """The specialist whose card fits the question."""

    agent: Name
    why: Sentence = ""


class AgentsChosen(FanOut):
    """Several specialists are needed, each for a part of the question: all at once, or one after another."""


class NoAgentFits(Contract):
    """The question is outside what every specialist's card says."""

    why: Sentence = ""
