"""What triage emits."""

from __future__ import annotations

from switchyard.protocol.fields import Contract, Name, Sentence


class AgentChosen(Contract):
    """The specialist whose card fits the question."""

    agent: Name
    why: Sentence = ""


class NoAgentFits(Contract):
    """The question is outside what every specialist's card says."""

    why: Sentence = ""
