"""Log-in at a real identity provider: code, PKCE, state and nonce; and what does not log anybody in."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import aiohttp
import httpx2
import pytest

from services.app import APP
from switchyard.console.app import ConsoleApp
from switchyard.console.views import Views
from switchyard.processes.console import build_views
from tests.integration.console.conftest import Console
from tests.integration.console.served import BASE, console_settings
from tests.integration.serving import free_port

pytestmark = pytest.mark.integration
SECRET = "console-secret"
USERS = {
    "config_version": 1,
    "users": {
        "vera": {"password": "vera", "email": "v@a.example", "roles": ["viewer", "FIELD_ALL"], "tenant": "acme"},
        "sam": {"password": "sam", "email": "s@a.example", "roles": ["FIELD_ALL"], "tenant": "acme"},
    },
}


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The local stack's identity provider; it is stopped by its pid."""
    home, port = tmp_path_factory.mktemp("provider"), free_port()
    (home / "users.yaml").write_text(json.dumps(USERS))
    environment = os.environ | {
        "SWITCHYARD_LOCAL_FRONT_END_SECRET": "front-end-secret",
        "SWITCHYARD_LOCAL_CONSOLE_SECRET": SECRET,
    }
    arguments = ("--port", str(port), "--home", str(home / "p"), "--users", str(home / "users.yaml"))
    command = [sys.executable, "-m", "switchyard.devstack.identity.provider", *arguments]
    url, log = f"http://127.0.0.1:{port}", home / "log"
    with log.open("w") as output:
        running = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            _wait(url, running, log)
            yield url
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(10)


def _wait(url: str, running: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            urlopen(f"{url}/.well-known/jwks.json", timeout=5).close()
        except OSError:
            if running.poll() is not None or time.monotonic() > deadline:
                pytest.fail(log.read_text()[-2_000:])
            time.sleep(0.1)
        else:
            return


@pytest.fixture
async def app(console: Console, provider: str) -> AsyncIterator[Any]:
    """The console with that provider."""
    settings = console_settings(
        console_client_secret=SECRET,
        idp_issuer=provider,
        idp_jwks_url=f"{provider}/.well-known/jwks.json",
        idp_authorize_url=f"{provider}/authorize",
        idp_token_url=f"{provider}/token",
    )
    async with aiohttp.ClientSession() as http:
        parts = replace(console.parts, http=http)
        views: Views = build_views(APP, settings, parts)
        yield ConsoleApp(views.pages, views.handlers(), views.open_handlers(), BASE, views.guard).build()


def browser(app: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=BASE)


async def log_in(client: httpx2.AsyncClient, user: str, then: str = "/cases?tenant=acme") -> str:
    """Go to a page, log in at the provider, and return the address that it sends the browser back to."""
    asked = await client.get(then)
    assert asked.status_code == 303
    started = await client.get(asked.headers["location"])
    async with httpx2.AsyncClient(follow_redirects=False) as outside:
        page = await outside.get(started.headers["location"])
        assert page.status_code == 200, page.text[:500]
        fields = dict(re.findall(r'<input[^>]*type="hidden"[^>]*name="([^"]+)"[^>]*value="([^"]*)"', page.text))
        form = {name: unescape(value) for name, value in fields.items()} | {"username": user, "password": user}
        sent = await outside.post(started.headers["location"].partition("?")[0], data=form)
    assert sent.status_code in {302, 303}, sent.text[:500]
    return str(sent.headers["location"])


async def test_user_logs_in_and_comes_back_to_the_page(app: Any) -> None:
    async with browser(app) as client:
        back = await log_in(client, "vera")
        answer = await client.get(back)
        assert (answer.status_code, answer.headers["location"]) == (303, "/cases?tenant=acme")
        page = await client.get("/cases?tenant=acme")
        assert "vera · viewer" in page.text
        assert (await client.get("/signing-key")).status_code == 403


async def test_user_without_a_role_of_the_console_is_not_logged_in(app: Any) -> None:
    async with browser(app) as client:
        answer = await client.get(await log_in(client, "sam"))
        assert answer.status_code == 403
        assert "no role of the console" in answer.text
        assert (await client.get("/cases")).status_code == 303


async def test_answer_counts_in_the_browser_that_asked_and_once(app: Any) -> None:
    async with browser(app) as client, browser(app) as other:
        back = await log_in(client, "vera")
        await other.get("/login")
        assert (await other.get(back)).status_code == 403
        assert (await client.get(back)).status_code == 303
        assert (await client.get(back)).status_code == 403


async def test_answer_with_a_foreign_code_is_refused(app: Any) -> None:
    """A code that another browser got for another log-in does not fit this one's PKCE verifier."""
    async with browser(app) as client, browser(app) as victim:
        stolen = parse_qs(urlsplit(await log_in(client, "vera")).query)["code"][0]
        started = await victim.get("/login")
        state = parse_qs(urlsplit(started.headers["location"]).query)["state"][0]
        answer = await victim.get(f"/login/callback?code={stolen}&state={state}")
        assert answer.status_code == 403
        assert (await victim.get("/cases")).status_code == 303


async def test_address_of_another_host_is_not_gone_to(app: Any) -> None:
    async with browser(app) as client:
        back = await log_in(client, "vera")
        asked = await client.get("/login?then=https://evil.example/")
        assert "evil" not in asked.headers["location"]
        assert urlsplit(back).netloc == urlsplit(BASE).netloc


async def test_log_out_ends_the_session_of_this_browser(app: Any) -> None:
    async with browser(app) as client:
        await client.get(await log_in(client, "vera"))
        page = await client.get("/cases")
        found = re.search(r'name="form_token" value="([0-9a-f]+)"', page.text)
        assert found is not None
        await client.post("/logout", data={"form_token": found[1]})
        assert (await client.get("/cases")).status_code == 303
