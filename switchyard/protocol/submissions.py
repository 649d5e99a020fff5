"""What an upstream submits, and how a submission becomes a case. Pure: the case manager seals, stamps and stores."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from switchyard.protocol.fields import Contract, Identifier, Milliseconds, Name, StrictContract
from switchyard.protocol.grants import GrantStatement
from switchyard.protocol.principals import PrincipalStatement, content_digest

CASE_ID_NAMESPACE = uuid.UUID("6d3f0e5a-3f4b-5c0e-9a53-8f1f5a8d1c01")
"""Namespace of case ids."""


TurnPolicy = Literal["queue", "reject"]
"""What becomes of a submission whose session has an open turn: it waits for its turn, or it is rejected."""


def case_id_for(tenant: str, source: str, asker: str, idempotency_key: str) -> str:
    """The id of the case that a submission opens: the same submission is the same case, on any machine. `asker` is who
    asks: a key that another person has used names another case."""
    return str(uuid.uuid5(CASE_ID_NAMESPACE, json.dumps([tenant, source, asker, idempotency_key])))


class Submission(StrictContract):
    """What every submission has. A kind of submission is a subclass; its default `playbook` names the kind.

    Tenant, source, who asks and `idempotency_key` name the submission: the same payload again is the same case, another
    payload under the same key is refused as a conflict. A key that one person has used is still free for another.
    """

    tenant: Identifier
    idempotency_key: Identifier = Field(description="Unique for each submission of a tenant, source and asker.")
    session_id: Identifier
    playbook: Name
    deadline_ms: Milliseconds | None = None


class UserSubmission(Submission):
    """What a user submits, for themselves. The API takes the fields that a subclass adds, `idempotency_key` and
    `deadline_ms` from the caller, and all others from the caller's token."""

    session_id: Identifier = Field(description="The conversation; sessions never see each other's data.")
    user_id: Identifier = Field(description="Who asks. Personal: replaced by a pseudonym at intake.")
    role: Annotated[Identifier, Field(max_length=100)] | None = Field(
        default=None, description="The role to read with, as the asking user; it comes with a grant."
    )
    principal: PrincipalStatement | None = Field(
        default=None,
        description="The claims of switchyard.protocol.principals about this very submission, signed by its ingress "
        "(compact JWS, Ed25519). The case manager wants it from the sources that it has keys of.",
    )
    grant: GrantStatement | None = Field(
        default=None,
        description="What the user allows agents to do in their name (switchyard.protocol.grants), signed by the "
        "ingress. Agents read as the user with it; without it they read as the source's service principal.",
    )


FROM_TOKEN = frozenset({"tenant", "session_id", "playbook", *UserSubmission.__annotations__})
"""The fields of a user's submission that no caller of the API sets."""


@dataclass(frozen=True)
class SealedContent:
    """Bytes that are encrypted under the person's key before anything is published."""

    data: bytes
    media_type: str


@dataclass(frozen=True)
class CaseOpening:
    """The case that a submission asks for.

    `opened` is the type of its first event, `facts` its fields as JSON. The case manager adds those that only it knows,
    where the type has them: a reference for each name in `sealed`, `submitted_by`, `attested`, and `address_key`, the
    keyed hash of `address`.
    """

    opened: type[Contract]
    person: str
    """The person whose key seals the content; a pseudonym replaces the name."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    sealed: Mapping[str, SealedContent] = field(default_factory=dict)
    asker: str | None = None
    """The member of staff who asks; None if the person does."""
    role: str | None = None
    """The role to read with: the upstream must be allowed to ask for it, and the case gets the scope that names it."""
    address: str | None = None
    claims: Mapping[str, str | None] | None = None
    """What the ingress must have signed beside the submission itself; None if no statement can vouch for this kind."""
    grant: str | None = None
    """The grant of the person who asks, signed by the ingress; None if the source acts for itself."""
    deadline: timedelta | None = None
    """How long the case may take if the submission does not say; the case manager's default if None."""

    @property
    def principal(self) -> str:
        """Who asks: the member of staff, or the person."""
        return self.person if self.asker is None else self.asker


def open_user_case(
    submitted: UserSubmission,
    opened: type[Contract],
    *,
    facts: Mapping[str, Any],
    sealed: Mapping[str, SealedContent],
) -> CaseOpening:
    """The case that a user asks for: an ingress can vouch for who asks, with which role, and what is sealed. Raises
    `TypeError` for a first event that would not record it."""
    if not {"submitted_by", "attested"} <= opened.model_fields.keys():
        raise TypeError(f"{opened.__name__} does not record who vouched for the user: make it a UserCaseOpened")
    content = content_digest(*(each.data for each in sealed.values()))
    return CaseOpening(
        opened,
        person=submitted.user_id,
        facts=facts,
        sealed=sealed,
        role=submitted.role,
        grant=submitted.grant,
        claims={"role": submitted.role, "content_sha256": content},
    )


OpenCase = Callable[[Any], CaseOpening]
"""Reads a submission of one kind. Raises `InvalidEvent` for one that no case can follow from."""


def playbook_of(model: type[Submission]) -> str:
    """The playbook that a kind of submission opens: the default of its field `playbook`."""
    return str(model.model_fields["playbook"].default)


Submissions = Mapping[type[Submission], OpenCase]
"""Every kind of submission of an application."""
