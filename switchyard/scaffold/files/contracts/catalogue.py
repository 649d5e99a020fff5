"""The agents' cards, every event type with who sends it to whom, and what may be submitted."""

from __future__ import annotations

from contracts.events import ReplyWritten, RequestOpened, RequestSubmitted, WriteReply, open_request
from switchyard.app.cards import AgentCard
from switchyard.protocol.catalogue import Catalogue, command_types, submission_types
from switchyard.protocol.submissions import Submissions

ASSISTANT_CARD = AgentCard(
    name="assistant",
    kind="internal",
    purpose="Writes the reply to a request.",
    consumes=("WriteReply",),
    emits=("ReplyWritten", "TaskFailed"),
    vendors=("bedrock", "openai"),
    decrypts=("request",),
)
CARDS = {card.name: card for card in (ASSISTANT_CARD,)}

CATALOGUE = Catalogue(
    CARDS,
    (
        *submission_types(RequestSubmitted, RequestOpened),
        *command_types("assistant", WriteReply, ReplyWritten),
    ),
)

SUBMISSIONS: Submissions = {RequestSubmitted: open_request}
