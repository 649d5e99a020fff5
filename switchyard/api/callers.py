"""Who calls: a user with a verified token, how often they may, and whose cases they see."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from switchyard.api.problems import LoginRequired, TemporarilyUnavailable, TooManyRequests
from switchyard.api.user_tokens import AuthenticatedUser, TokenVerifier
from switchyard.case_manager.keyed_hash import KeyedHash
from switchyard.identity.jwt_verifier import InvalidJwt, JwksUnavailable

MAX_KNOWN_CALLERS = 10_000


@dataclass(frozen=True)
class Caller:
    """A user. `fingerprint` is by what the vault finds them; `reads_all` whether their role reads every case that users
    of their tenant asked."""

    user: AuthenticatedUser
    fingerprint: bytes
    reads_all: bool

    @property
    def key(self) -> tuple[str, str]:
        """What limits are counted by."""
        return self.user.tenant, self.user.user_id

    @property
    def until(self) -> float:
        """When the token expires, in seconds since 1970."""
        return float(self.user.claims["exp"])


@dataclass
class RequestRate:
    """A bucket of requests per caller in this process: `per_minute` of them, refilled evenly."""

    per_minute: int
    now: Callable[[], float]
    _left: OrderedDict[tuple[str, str], tuple[float, float]] = field(default_factory=OrderedDict)

    def take(self, key: tuple[str, str]) -> None:
        """Take one request. Raises `TooManyRequests` if none is left."""
        now = self.now()
        left, since = self._left.pop(key, (float(self.per_minute), now))
        left = min(float(self.per_minute), left + (now - since) * self.per_minute / 60)
        allowed = left >= 1
        self._left[key] = (left - 1 if allowed else left), now
        if len(self._left) > MAX_KNOWN_CALLERS:
            self._left.popitem(last=False)
        if not allowed:
            wait = math.ceil((1 - left) * 60 / self.per_minute)
            raise TooManyRequests(f"at most {self.per_minute} requests a minute", after_s=wait)


@dataclass(frozen=True)
class CallerRates:
    """What one user, and all users of a tenant, may ask of this process."""

    users: RequestRate
    tenants: RequestRate

    def take(self, user: AuthenticatedUser) -> None:
        """Take one request. Raises `TooManyRequests`: a user who is over their own limit uses up no other's."""
        self.users.take((user.tenant, user.user_id))
        self.tenants.take((user.tenant, ""))


def caller_rates(per_user: int, per_tenant: int, now: Callable[[], float]) -> CallerRates:
    """Limits in requests per minute; `now` is in seconds."""
    return CallerRates(RequestRate(per_user, now), RequestRate(per_tenant, now))


@dataclass(frozen=True)
class Callers:
    """Authenticates callers."""

    tokens: TokenVerifier
    persons: KeyedHash
    readers: frozenset[str]
    """Roles whose holders read every case of their tenant's users."""
    rate: RequestRate

    async def caller(self, authorization: str | None) -> Caller:
        """The caller of a request. Raises `Problem`."""
        try:
            # In a thread: the provider's keys may have to be fetched.
            user = await asyncio.to_thread(self.tokens.authenticated_user, authorization)
        except InvalidJwt as refused:
            raise LoginRequired(str(refused)) from None
        except JwksUnavailable as unavailable:
            raise TemporarilyUnavailable(str(unavailable)) from None
        caller = Caller(user, self.persons.person(user.tenant, user.user_id), not self.readers.isdisjoint(user.roles))
        self.rate.take(caller.key)
        return caller
