"""What is submitted, what is asked of the agents, and what they answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from switchyard.protocol.events.case_manager import UserCaseOpened
from switchyard.protocol.fields import Artefact, Contract
from switchyard.protocol.submissions import CaseOpening, SealedContent, UserSubmission, open_user_case


class RequestSubmitted(UserSubmission):
    """A request to acme, over HTTP or from an upstream system. A pseudonym replaces `user_id`, who asks."""

    playbook: Literal["requests"] = "requests"
    text: Annotated[str, Field(min_length=1, max_length=4_000)] = Field(description="Personal: sealed at intake.")


class RequestOpened(UserCaseOpened):
    """A request became a case."""

    request: Artefact


class WriteReply(Contract):
    """To the assistant: write the reply."""

    request: Artefact


class ReplyWritten(Contract):
    """The reply. The case ends with its artefact `answer`."""

    answer: Artefact


def open_request(submitted: RequestSubmitted) -> CaseOpening:
    """The case of a request."""
    return open_user_case(
        submitted,
        RequestOpened,
        facts={"playbook": submitted.playbook},
        sealed={"request": SealedContent(submitted.text.encode(), "text/plain")},
    )
