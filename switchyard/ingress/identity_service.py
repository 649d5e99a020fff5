"""The identity service as the ingress calls it: over mutual TLS, blocking, without a connection of its own."""

from __future__ import annotations

import json
import logging
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from switchyard.api.problems import GrantForbidden, InvalidRequest, LoginRequired, NotFound, TemporarilyUnavailable
from switchyard.api.user_tokens import AuthenticatedUser
from switchyard.identity.tls import client_tls
from switchyard.protocol.canonical import parse_foreign_json
from switchyard.protocol.errors import InvalidEvent

log = logging.getLogger(__name__)
IDENTITY_TIMEOUT_S = 4
"""Within the function's 15 s, so that the caller gets an answer with its remedy."""

MAX_ANSWER_BYTES = 4_096
TLS_CACHE_S = 300.0
TLS_FILES = ("ca", "certificate", "key")


class IdentityUnavailable(TemporarilyUnavailable):
    """The identity service does not answer: check the service and the network's rules."""


def tls_of_secret(secret: str) -> ssl.SSLContext:
    """TLS with the certificate in a secret, whose texts are on disk only while they are read. Raises
    `IdentityUnavailable` for a secret of another form, without quoting it."""
    try:
        texts = json.loads(secret)
        with TemporaryDirectory() as folder:
            files = {name: Path(folder) / name for name in TLS_FILES}
            for name, file in files.items():
                file.touch(mode=0o600)
                file.write_text(texts[name], encoding="ascii")
            return client_tls(ca=files["ca"], certificate=files["certificate"], key=files["key"])
    except (ValueError, KeyError, TypeError, OSError) as error:
        what = f"the certificate for the identity service is unusable ({type(error).__name__})"
        raise IdentityUnavailable(what) from None


class TlsSource:
    """The TLS of calls, from a secret that is read again after some minutes: a certificate may have been rotated."""

    def __init__(self, fetch: Callable[[], str], now: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._now = now
        self._tls: ssl.SSLContext | None = None
        self._fetched = 0.0

    def __call__(self) -> ssl.SSLContext:
        """TLS of the function's own certificate. Raises `IdentityUnavailable`."""
        if self._tls is None or self._now() - self._fetched > TLS_CACHE_S:
            try:
                secret = self._fetch()
            except Exception as error:
                # The boundary: an answer that is not the service's raises what its parser makes of it.
                what = f"the certificate for the identity service cannot be read ({type(error).__name__})"
                raise IdentityUnavailable(what) from error
            self._tls, self._fetched = tls_of_secret(secret), self._now()
        return self._tls


@dataclass(frozen=True)
class IdentityService:
    """The identity service at `url`. `tls` is asked for each call."""

    url: str
    tls: Callable[[], ssl.SSLContext]

    def register(self, statement: str, user: AuthenticatedUser, *, refresh_token: str | None, renewal: bool) -> None:
        """Register a grant with the user's credential. A grant that was revoked stays so, unless this log-in is newer
        and renews it: its cases wait for the user. Raises `Problem`."""
        body: dict[str, Any] = {"grant": statement, "token": user.token, "renewal": renewal}
        if refresh_token is not None:
            body["refresh_token"] = refresh_token
        status, answer = self._post("/grants", body)
        match status, answer.get("error"):
            case 201, _:
                return
            case 409, "grant_revoked" if not renewal:
                return
            case (403, "token_invalid") | (403, "grant_period") | (409, "grant_revoked"):
                raise LoginRequired(str(answer.get("message", "the log-in is not accepted any more")))
            case _:
                raise self._problem_of(status, answer)

    def revoke(self, grant: str, user: AuthenticatedUser) -> None:
        """Revoke a grant of this user. Raises `Problem`."""
        status, answer = self._post("/revocations", {"grant": grant, "sub": user.user_id, "tenant": user.tenant})
        if status != 204:
            raise self._problem_of(status, answer)

    def _problem_of(self, status: int, answer: Mapping[str, Any]) -> Exception:
        code = str(answer.get("error"))[:60]
        remedy = "name a grant of your own, as the waiting case names it"
        match code:
            case "grant_foreign":
                return GrantForbidden("the grant belongs to another user", field="grant", remedy=remedy)
            case "grant_unknown":
                return NotFound("no grant of that id is registered", field="grant", remedy=remedy)
            case "invalid_request" if answer.get("field") == "refresh_token":
                return InvalidRequest("the refresh token is invalid", field="x-refresh-token", remedy="leave it out")
        # What is left is a fault of the deployment: keys, certificates or scopes that do not fit together.
        log.error("the identity service refused the ingress: %s (%s)", code, status)
        return IdentityUnavailable(f"the identity service refused the grant ({code})")

    def _post(self, path: str, body: Mapping[str, Any]) -> tuple[int, Mapping[str, Any]]:
        """Raises `IdentityUnavailable`, also for 5xx and for an answer that is not the service's."""
        request = Request(f"{self.url}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310 - https only, see the settings
        try:
            with urlopen(request, timeout=IDENTITY_TIMEOUT_S, context=self.tls()) as response:  # noqa: S310 - see above
                status, text = response.status, response.read(MAX_ANSWER_BYTES)
        except HTTPError as error:
            with error:
                status, text = error.code, error.read(MAX_ANSWER_BYTES)
        except OSError as error:
            raise IdentityUnavailable(f"the identity service is unreachable ({type(error).__name__})") from None
        try:
            answer = parse_foreign_json(text) if text else {}
        except InvalidEvent:
            answer = None
        if status >= 500 or not isinstance(answer, dict):
            raise IdentityUnavailable(f"the identity service answered {status}")
        return status, answer
