"""Which basins an asking user's role allows. The role is what the identity service gave a token for."""

from __future__ import annotations

from collections.abc import Mapping

from services.specialists.well_data.store import ALL_BASINS
from switchyard.runtime.core.errors import PermanentTaskError

ACCESS_ROLE = "session:role:"
"""The scope of a token for one role."""


def role_of_scopes(scopes: tuple[str, ...], prefix: str) -> str:
    """The role that scopes name. Raises `PermanentTaskError` unless it is one: there is no default role."""
    roles = [scope.removeprefix(prefix) for scope in scopes if scope.startswith(prefix)]
    if len(roles) != 1:
        message = "the submission does not name one role"
        raise PermanentTaskError("no_role", message, "role", "submit the question with the asking user's role")
    return roles[0]


def basins_of_role(role: str, basins: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The basins of a role; `*` stands for all. Raises `PermanentTaskError` for a role that is not set up."""
    if not (found := basins.get(role, ())):
        message = "the role names no basins here"
        raise PermanentTaskError("role_not_granted", message, "role", "add the role to SWITCHYARD_WELL_BASINS")
    return (ALL_BASINS,) if ALL_BASINS in found else found
