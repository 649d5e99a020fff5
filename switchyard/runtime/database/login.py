"""How a process logs in to PostgreSQL: with the password in its address, or in AWS with its IAM role.

With IAM the address holds no password. Each new connection gets a token of its own, signed on this machine without a
request and valid for 15 minutes; RDS checks it only at login, so an open connection lives on. It travels as a cleartext
password, so TLS with a verified certificate is required and the token is never made for anything else:
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlencode, urlsplit

from switchyard.runtime.core.aws_errors import translate_aws_errors
from switchyard.runtime.core.errors import Unavailable

if TYPE_CHECKING:
    from aiobotocore.session import AioSession

TOKEN_LIFETIME_S = 900
"""What RDS accepts at most."""


class InvalidDatabaseUrl(ValueError):
    """A database address does not fit the way of logging in. The message names the part and the remedy."""


class DatabaseLogin(Protocol):
    """Turns a database's address into what asyncpg needs to log in there."""

    def options(self, url: str) -> dict[str, Any]:
        """Keyword arguments for `asyncpg.connect` and `create_pool`. Raises `InvalidDatabaseUrl`."""


class PasswordLogin:
    """The password in the address, TLS as the address asks for it."""

    def options(self, url: str) -> dict[str, Any]:
        return {"dsn": url}


@dataclass(frozen=True, slots=True)
class DatabaseEndpoint:
    """Where a token is for. It is signed with the host and port, so an alias of the instance's name does not do."""

    host: str
    port: int
    user: str


TokenSource = Callable[[DatabaseEndpoint], Awaitable[str]]


class IamLogin:
    """IAM: a token for each new connection, over TLS that is verified against `ca_file` (RDS's bundle)."""

    def __init__(self, token_for: TokenSource, *, ca_file: Path | None = None) -> None:
        self._token_for = token_for
        self._ca_file = ca_file

    def options(self, url: str) -> dict[str, Any]:
        place = parse_endpoint(url)
        return {
            "dsn": url,
            "password": lambda: self._token_for(place),  # asyncpg calls it for every connection that it opens
            "ssl": ssl.create_default_context(cafile=None if self._ca_file is None else str(self._ca_file)),
        }


def rds_token_source(session: AioSession, *, region: str) -> TokenSource:
    """Tokens signed with the process's own AWS credentials, whichever way the SDK finds and renews them."""
    from botocore.auth import SigV4QueryAuth
    from botocore.awsrequest import AWSRequest

    async def token_for(place: DatabaseEndpoint) -> str:
        with translate_aws_errors("no_credentials", "AWS"):
            credentials = await session.get_credentials()
            if credentials is None:
                raise Unavailable("no_credentials", "there are no AWS credentials to log in to the database with")
            frozen = await credentials.get_frozen_credentials()
        query = urlencode({"Action": "connect", "DBUser": place.user})
        request = AWSRequest(method="GET", url=f"https://{place.host}:{place.port}/?{query}")
        SigV4QueryAuth(frozen, "rds-db", region, expires=TOKEN_LIFETIME_S).add_auth(request)
        return str(request.url).removeprefix("https://")

    return token_for


def parse_endpoint(url: str) -> DatabaseEndpoint:
    """The place that an address names. Raises `InvalidDatabaseUrl` for one that IAM cannot log in to."""
    parts = urlsplit(url)
    if parts.password is not None:
        raise InvalidDatabaseUrl("the address holds a password, and IAM logs in without one; take it out")
    if not parts.username or not parts.hostname:
        raise InvalidDatabaseUrl("IAM needs the user and the instance's own host name in the address; name both")
    return DatabaseEndpoint(parts.hostname, parts.port or 5432, unquote(parts.username))
