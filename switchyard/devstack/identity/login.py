"""Logs a user in at the local identity provider as a browser does: authorization code with PKCE (RFC 7636)."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import aiohttp

from switchyard.devstack.identity.provider import FRONT_END

REDIRECT_URI = "http://127.0.0.1/callback"
"""Nobody listens there: the code is read from the redirect, which is not followed."""

LOGIN_SCOPES = "openid profile offline_access"
LOGIN_TIMEOUT = aiohttp.ClientTimeout(total=10)
_TRANSACTION = re.compile(r'name="transaction_id" value="([^"]+)"')


class LoginFailed(Exception):
    """The user is not logged in: check user, password and the identity provider."""


@dataclass(frozen=True)
class UserTokens:
    """What the front end gets for a user. It is not shown."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)


async def log_in(url: str, client_secret: str, user: str, password: str) -> UserTokens:
    """Log in at the identity provider at `url`. Raises `LoginFailed`."""
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": FRONT_END,
        "redirect_uri": REDIRECT_URI,
        "scope": LOGIN_SCOPES,
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    # A browser's cookies, also of an address without a name.
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), timeout=LOGIN_TIMEOUT) as browser:
        try:
            async with browser.get(f"{url}/authorize", params=asked) as page:
                transaction = _TRANSACTION.search(await page.text())
            form = {"username": user, "password": password} | (
                {"transaction_id": transaction[1]} if transaction is not None else {}
            )
            async with browser.post(f"{url}/authorize", data=form, allow_redirects=False) as answer:
                answered = parse_qs(urlsplit(answer.headers.get("Location", "")).query)
            if answered.get("state") != [state] or "code" not in answered:
                raise LoginFailed(f"the identity provider did not log {user} in")
            exchanged = {
                "grant_type": "authorization_code",
                "code": answered["code"][0],
                "redirect_uri": REDIRECT_URI,
                "code_verifier": verifier,
            }
            basic = {"Authorization": aiohttp.encode_basic_auth(FRONT_END, client_secret)}
            async with browser.post(f"{url}/token", data=exchanged, headers=basic) as answer:
                found = await answer.json(content_type=None)
            return UserTokens(str(found["access_token"]), found.get("refresh_token"))
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise LoginFailed(f"the identity provider does not answer as expected ({type(error).__name__})") from None
