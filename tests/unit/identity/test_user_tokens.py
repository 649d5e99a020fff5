"""What a user's refreshed token permits."""

from __future__ import annotations

from typing import Any, cast

import pytest

from switchyard.identity.api import UserTokens
from switchyard.identity.jwt_verifier import InvalidJwt, JwtVerifier
from tests.unit.identity.test_permissions import CLAIMS


class Verifier:
    """Reads what the test gives as the claims of any token."""

    def __init__(self, found: dict[str, Any] | None) -> None:
        self.found = found

    def verify(self, text: str, *, audience: str) -> dict[str, Any]:
        if self.found is None:
            raise InvalidJwt("no")
        return self.found


def permits(found: dict[str, Any] | None) -> bool:
    verifier = cast("JwtVerifier", Verifier(found))
    users = UserTokens(verifier, "switchyard", "tenant", "roles", "session:role:", frozenset({"work_orders:read"}))
    return users.permits(CLAIMS, "a-token")


RIGHTS: dict[str, Any] = {"sub": "ana", "tenant": "operator", "roles": ["NORTH", "SOUTH"], "iat": 99}


def test_refreshed_token_with_the_rights_of_the_grant_permits_it() -> None:
    assert permits(RIGHTS)


@pytest.mark.parametrize("changed", [{"sub": "ben"}, {"tenant": "other"}, {"roles": ["SOUTH"]}, {"roles": None}])
def test_refreshed_token_that_lost_a_right_does_not_permit_the_grant(changed: dict[str, Any]) -> None:
    assert not permits(RIGHTS | changed)


def test_refreshed_token_that_is_invalid_does_not_permit_the_grant() -> None:
    assert not permits(None)
