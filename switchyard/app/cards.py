"""Agent cards: what each agent is for, what it may decrypt, what it may call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from switchyard.protocol.fields import Contract, Name, Sentence, TypeName

Vendor = Literal["bedrock", "openai"]


class AgentCard(Contract):
    """One agent, as the vault, IAM and the local stack know it."""

    name: Name
    kind: Literal["specialist", "internal"] = Field(description="A case can be given to specialists only.")
    purpose: Sentence
    examples: tuple[Sentence, ...] = Field(default=(), description="What it is asked for.")
    not_for: tuple[Sentence, ...] = Field(default=(), description="Near misses that it does not answer.")
    consumes: tuple[TypeName, ...]
    emits: tuple[TypeName, ...]
    tools: tuple[Name, ...] = ()
    vendors: tuple[Vendor, ...] = Field(default=(), description="Model vendors it may call, primary first.")
    decrypts: tuple[Name, ...] = Field(default=(), description="Names of the sealed artefacts that it may open.")
    observes: tuple[Name, ...] = Field(default=(), description="Of an observer: the playbooks whose cases it reads.")
    egress: tuple[Name, ...] = Field(default=(), description="Systems outside AWS that it calls, beside the models.")


def specialist_cards(cards: Iterable[AgentCard]) -> tuple[AgentCard, ...]:
    """The cards that an agent may be chosen from, by name."""
    return tuple(sorted((card for card in cards if card.kind == "specialist"), key=lambda card: card.name))
