"""Who may obtain which token."""

from __future__ import annotations

from dataclasses import replace

import pytest

from switchyard.identity.permissions import AgentCeiling, OpenTask, TokenRequest, check_request
from switchyard.protocol.grants import GrantClaims

GRANT = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
WAREHOUSE = "https://warehouse.example"
CLAIMS = GrantClaims(
    iss="upstream.api",
    jti=GRANT,
    sub="ana",
    tenant="operator",
    agents=("text_to_sql",),
    scopes=("session:role:NORTH", "work_orders:read"),
    audiences=(WAREHOUSE,),
    iat=0,
    exp=1_000,
)
REQUEST = TokenRequest(
    grant=GRANT,
    case_id="33333333-3333-4333-8333-333333333333",
    task_id="44444444-4444-4444-8444-444444444444",
    audience=WAREHOUSE,
    scopes=("session:role:NORTH",),
)
TASK = OpenTask("operator", GRANT, "NORTH")
ROLE = "session:role:"
CEILING = AgentCeiling(audiences={WAREHOUSE: ("session:role:*",)})


def check(
    request: TokenRequest = REQUEST,
    *,
    agent: str = "text_to_sql",
    grant: GrantClaims | None = CLAIMS,
    revoked: bool = False,
    task: OpenTask | None = TASK,
    ceiling: AgentCeiling = CEILING,
    now: float = 999,
) -> str | None:
    denied = check_request(
        request, agent=agent, grant=grant, revoked=revoked, task=task, ceiling=ceiling, role_scope=ROLE, now=now
    )
    return None if denied is None else denied.code


def test_token_within_grant_task_and_ceiling_is_permitted() -> None:
    assert check() is None


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"grant": None}, "grant_unknown"),
        ({"task": None}, "task_not_open"),
        ({"task": replace(TASK, tenant="another")}, "grant_foreign"),
        ({"task": replace(TASK, grant=OTHER)}, "grant_foreign"),
        ({"task": replace(TASK, grant=None)}, "grant_foreign"),
        ({"agent": "drafter"}, "agent_not_granted"),
        ({"request": REQUEST.model_copy(update={"audience": "https://other.example"})}, "audience_not_granted"),
        ({"request": REQUEST.model_copy(update={"scopes": ("session:role:ADMIN",)})}, "scope_not_granted"),
        ({"request": REQUEST.model_copy(update={"scopes": ()})}, "scope_not_granted"),
        ({"request": REQUEST.model_copy(update={"scopes": ("work_orders:read",)})}, "above_ceiling"),
        ({"ceiling": AgentCeiling()}, "above_ceiling"),
        ({"revoked": True}, "needs_reauth"),
        ({"now": 1_000}, "needs_reauth"),
    ],
)
def test_token_beyond_one_of_them_is_denied(changed: dict[str, object], code: str) -> None:
    assert check(**changed) == code  # type: ignore[arg-type]


BOTH = CLAIMS.model_copy(update={"scopes": (*CLAIMS.scopes, "session:role:SOUTH")})


@pytest.mark.parametrize(
    ("role", "scopes"),
    [
        ("NORTH", ("session:role:SOUTH",)),
        ("NORTH", ("session:role:NORTH", "session:role:SOUTH")),
        ("NORTH", ("session:role:NORTH", "session:role:NORTH")),
        ("NOR", ("session:role:NORTH",)),
        ("", ("session:role:NORTH",)),
        (None, ("session:role:NORTH",)),
    ],
)
def test_role_of_the_grant_that_is_not_the_cases_is_denied(role: str | None, scopes: tuple[str, ...]) -> None:
    request = REQUEST.model_copy(update={"scopes": scopes})
    assert check(request, grant=BOTH, task=replace(TASK, role=role)) == "role_of_another_case"


@pytest.mark.parametrize("role", ["NORTH", None])
def test_scope_that_names_no_role_is_permitted_in_a_case_of_any_role(role: str | None) -> None:
    request = REQUEST.model_copy(update={"scopes": ("work_orders:read",)})
    ceiling = AgentCeiling(audiences={WAREHOUSE: ("*",)})
    assert check(request, task=replace(TASK, role=role), ceiling=ceiling) is None
