"""What is submitted, what is asked of the agents, and what they answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from switchyard.protocol.fields import Artefact, Contract, Identifier, Name
from switchyard.protocol.submissions import CaseOpening, SealedContent, Submission


class RequestSubmitted(Submission):
    """A request to acme, from an upstream system."""

    playbook: Literal["requests"] = "requests"
    user_id: Identifier = Field(description="Who asks. Personal: replaced by a pseudonym at intake.")
    text: Annotated[str, Field(min_length=1, max_length=4_000)] = Field(description="Personal: sealed at intake.")


class RequestOpened(Contract):
    """A request became a case."""

    playbook: Name
    request: Artefact


class WriteReply(Contract):
    """To the assistant: write the reply."""

    request: Artefact


class ReplyWritten(Contract):
    """The reply. The case ends with its artefact `answer`."""

    answer: Artefact


def open_request(submitted: RequestSubmitted) -> CaseOpening:
    """The case of a request."""
    return CaseOpening(
        RequestOpened,
        person=submitted.user_id,
        facts={"playbook": submitted.playbook},
        sealed={"request": SealedContent(submitted.text.encode(), "text/plain")},
    )
