"""What the router emits in every application: commands to the case manager, and the decision that a case is over."""

from __future__ import annotations

from pydantic import Field

from switchyard.protocol.branches import MAX_BRANCHES, BranchEnd, PlannedBranch
from switchyard.protocol.fields import (
    Artefact,
    Code,
    Contract,
    Identifier,
    Name,
    PackVersion,
    Sentence,
    Sha256,
    Timestamp,
)


class AskApproval(Contract):
    """To the case manager: let a person decide on exactly this content."""

    content: Artefact = Field(description="What would take effect.")
    content_sha256: Sha256
    pack: PackVersion
    approval: Code = Field(description="Why a person must decide.")
    returnable: bool | None = Field(
        default=None, description="Whether the playbook has a way back: a person may ask for other content."
    )


class Wait(Contract):
    """To the case manager: say when the time has come, or, if the playbook is halted, when it runs again."""

    until: Timestamp | None = None
    halted: bool = False


class AskConsent(Contract):
    """To the case manager: say when the user has given consent again."""

    audience: Identifier


class GatherBranches(Contract):
    """To the case manager: say what these branches found, when each has ended."""

    branches: tuple[PlannedBranch, ...] = Field(min_length=1, max_length=MAX_BRANCHES)
    earlier: bool = Field(
        default=False,
        description="Whether the case goes on though all of these fail: earlier ones found something, or it can do "
        "without. A gather with a `time_limit_ms` is joined without the branches that are late.",
    )


class JoinBranch(BranchEnd):
    """To the case manager: a branch has ended. The envelope says which."""


class CloseCase(Contract):
    """To the case manager: the case is over, with this outcome."""

    outcome: Name
    code: Code
    message: Sentence = ""
    field: str | None = Field(default=None, max_length=200)
    remedy: Sentence | None = None
    node: Name | None = None
    answer: Artefact | None = None
    rules: tuple[Identifier, ...] | None = Field(default=None, description="The rules that blocked it.")
