"""Who may obtain which token: decided from the grant, the agent's ceiling and the recorded facts of the task. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from pydantic import BaseModel, ConfigDict

from switchyard.protocol.fields import Identifier, Name, StrictContract, Uuid
from switchyard.protocol.grants import GrantClaims, service_grant_id


class TokenRequest(StrictContract):
    """What an agent asks for: one audience and scopes for one task."""

    grant: Uuid
    case_id: Uuid
    task_id: Uuid
    """The event id of the command in hand."""
    audience: Identifier
    scopes: tuple[Identifier, ...]
    instead_of: Identifier | None = None
    """The `jti` of a token that the audience did not accept: it is not handed out again."""


class AgentCeiling(BaseModel):
    """What any token of one agent may be for at most: scopes by audience, as shell patterns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    audiences: Mapping[str, tuple[str, ...]] = {}


@dataclass(frozen=True)
class OpenTask:
    """What the databases of others say about a task: recorded at intake and at its claim, not by the router."""

    tenant: str
    grant: str | None
    """The grant of the user who asked: intake compared both."""
    role: str | None = None
    """The role in which the case was opened."""


@dataclass(frozen=True)
class Denied:
    """Why no token is issued. `reauth` says whether the user can change that by giving consent again."""

    code: str
    message: str
    reauth: bool = field(default=False)


def check_request(
    request: TokenRequest,
    *,
    agent: str,
    grant: GrantClaims | None,
    revoked: bool,
    task: OpenTask | None,
    ceiling: AgentCeiling,
    role_scope: str,
    now: float,
) -> Denied | None:
    """None if the token may be issued; else the first reason against it. `role_scope` is what a scope that names a role
    begins with."""
    if grant is None:
        return Denied("grant_unknown", "no grant of that id is registered")
    if task is None:
        return Denied("task_not_open", "this agent holds no such task of that case")
    patterns = ceiling.audiences.get(request.audience, ())
    roles = [scope for scope in request.scopes if scope.startswith(role_scope)]
    reasons = (
        (
            (task.grant, task.tenant) == (request.grant, grant.tenant),
            Denied("grant_foreign", "the grant is not that of the case's asker"),
        ),
        (agent in grant.agents, Denied("agent_not_granted", "the grant does not name this agent")),
        (request.audience in grant.audiences, Denied("audience_not_granted", "the grant does not name this audience")),
        (
            bool(request.scopes) and set(request.scopes) <= set(grant.scopes),
            Denied("scope_not_granted", "the grant does not cover these scopes"),
        ),
        (
            all(any(fnmatchcase(scope, pattern) for pattern in patterns) for scope in request.scopes),
            Denied("above_ceiling", "this agent may never have these scopes for this audience"),
        ),
        (
            not roles or (task.role is not None and roles == [role_scope + task.role]),
            Denied("role_of_another_case", "the case was opened in another role, or in none"),
        ),
        (
            not revoked and now < grant.exp,
            Denied("needs_reauth", "the grant was revoked or has expired", reauth=True),
        ),
    )
    return next((denied for holds, denied in reasons if not holds), None)


class ServiceGrant(BaseModel):
    """What a source that acts for itself may have agents do. Its client is registered with the token exchange under the
    source's name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenants: tuple[str, ...]
    agents: tuple[str, ...]
    audiences: tuple[str, ...]
    scopes: tuple[str, ...]

    def claims(self, source: str, tenant: str, now: float) -> GrantClaims | None:
        """The grant for a case of this tenant; None if the source may not act for it."""
        if not any(fnmatchcase(tenant, pattern) for pattern in self.tenants):
            return None
        return GrantClaims(
            iss=source,
            jti=service_grant_id(source),
            sub=source,
            tenant=tenant,
            agents=self.agents,
            scopes=self.scopes,
            audiences=self.audiences,
            iat=int(now),
            exp=int(now) + SERVICE_GRANT_S,
        )


SERVICE_GRANT_S = 3_600
AgentCeilings = Mapping[Name, AgentCeiling]
