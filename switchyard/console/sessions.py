"""Sessions: a signed cookie that ends by itself, and the token that each form must carry."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_urlsafe
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.responses import Response

from switchyard.console.access import ConsoleRole
from switchyard.console.tenants import Tenants
from switchyard.runtime.core.clock import Clock

LOGIN_S = 600
"""How long a log-in may take at the identity provider."""

FORM_FIELD = "form_token"
SEARCHES_S = 365 * 86_400
MAX_COOKIE_CHARS = 3_500
"""Browsers keep at least 4,096 bytes of a cookie, its name and attributes included."""


class User(BaseModel):
    """Who is logged in: what the identity provider said when the session began. `session` is its random name."""

    model_config = ConfigDict(frozen=True)

    name: str
    roles: tuple[ConsoleRole, ...]
    tenants: tuple[str, ...] | None
    """Whose cases they may see; None for every tenant's."""
    session: str
    until: int
    """When the session ends, in seconds since 1970."""

    def may(self, *roles: ConsoleRole) -> bool:
        """Whether the user has one of these roles."""
        return not set(roles).isdisjoint(self.roles)

    @property
    def ends_at(self) -> datetime:
        """When the session ends."""
        return datetime.fromtimestamp(self.until, UTC)


@dataclass(frozen=True)
class Sessions:
    """Makes and reads the cookies. The first key signs, every key verifies. `secure` says that pages come over TLS.

    `clock` is the machine's, as the identity provider's is, also where the deployment's own clock is moved for a drill.
    """

    keys: Mapping[str, bytes]
    secure: bool
    lifetime_s: int
    clock: Clock

    def cookie_name(self, purpose: str) -> str:
        """A name that a browser accepts from this host only, over TLS only, where there is TLS."""
        return f"__Host-{purpose}" if self.secure else f"switchyard-{purpose}"

    def begin(self, response: Response, name: str, roles: Sequence[ConsoleRole], tenants: Tenants = None) -> None:
        """Log a user in. Raises `ValueError` for more tenants than a cookie holds."""
        until = int(self.clock.now().timestamp()) + self.lifetime_s
        seen = None if tenants is None else tuple(tenants)
        user = User(name=name, roles=tuple(roles), tenants=seen, session=token_urlsafe(16), until=until)
        if len(self._serializer("session").dumps(user.model_dump())) > MAX_COOKIE_CHARS:
            raise ValueError("more tenants than a cookie holds")
        self._set(response, "session", user.model_dump(), self.lifetime_s)

    def end(self, response: Response) -> None:
        """Forget the session in this browser."""
        self._delete(response, "session")

    def user(self, cookies: Mapping[str, str]) -> User | None:
        """Who is logged in; None without a session, or after its end."""
        try:
            user = User.model_validate(self._read(cookies, "session", self.lifetime_s))
        except (BadData, ValidationError):
            return None
        return None if self.has_ended(user) else user

    def has_ended(self, user: User) -> bool:
        """Whether the user must log in again."""
        return user.until <= self.clock.now().timestamp()

    def begin_login(self, response: Response, login: Mapping[str, str]) -> None:
        """Remember what the answer of the identity provider is compared with."""
        self._set(response, "login", dict(login), LOGIN_S)

    def take_login(self, cookies: Mapping[str, str]) -> dict[str, str] | None:
        """What `begin_login` remembered; None if it is too old, or another browser's."""
        try:
            found = self._read(cookies, "login", LOGIN_S)
        except BadData:
            return None
        return found if isinstance(found, dict) else None

    def end_login(self, response: Response) -> None:
        """Forget it: an answer counts once."""
        self._delete(response, "login")

    def saved_searches(self, cookies: Mapping[str, str]) -> dict[str, str]:
        """The searches that this browser keeps: queries by name, the oldest first."""
        try:
            found = self._read(cookies, "searches", SEARCHES_S)
        except BadData:
            return {}
        return found if isinstance(found, dict) else {}

    def save_searches(self, response: Response, searches: Mapping[str, str]) -> bool:
        """Keep them for a year; False if they are more than a cookie holds."""
        if len(self._serializer("searches").dumps(dict(searches))) > MAX_COOKIE_CHARS:
            return False
        self._set(response, "searches", dict(searches), SEARCHES_S)
        return True

    def form_token(self, user: User, about: str = "form") -> str:
        """What every form of this session carries; another `about` says what else this session was given."""
        return hmac.digest(self._ordered()[-1], f"{about}/{user.session}".encode(), "sha256").hex()

    def is_form_token(self, user: User, token: str, about: str = "form") -> bool:
        """Whether a form is of this session; each comparison takes constant time."""
        made = (hmac.digest(key, f"{about}/{user.session}".encode(), "sha256").hex() for key in self._ordered())
        return any(hmac.compare_digest(each.encode(), token.encode()) for each in made)

    def _ordered(self) -> Sequence[bytes]:
        """The keys as itsdangerous wants them: the last one signs."""
        return [bytes(key) for key in self.keys.values()][::-1]

    def _serializer(self, purpose: str) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(
            list(self._ordered()), salt=f"console/{purpose}", signer_kwargs={"key_derivation": "hmac"}
        )

    def _read(self, cookies: Mapping[str, str], purpose: str, max_age: int) -> Any:
        return self._serializer(purpose).loads(cookies.get(self.cookie_name(purpose), ""), max_age=max_age)

    def _set(self, response: Response, purpose: str, value: Any, max_age: int) -> None:
        response.set_cookie(
            self.cookie_name(purpose),
            self._serializer(purpose).dumps(value),
            max_age=max_age,
            path="/",
            secure=self.secure,
            httponly=True,
            samesite="lax",
        )

    def _delete(self, response: Response, purpose: str) -> None:
        response.delete_cookie(self.cookie_name(purpose), path="/", secure=self.secure, httponly=True, samesite="lax")
