"""Chromium, driven by Playwright, in front of a console that listens on a port of its own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

from switchyard.console.access import ROLES, ConsoleRole
from switchyard.console.app import ConsoleApp
from switchyard.runtime.process.web import WebServer
from tests.integration.console.conftest import BROWSER_VARIABLE, Console
from tests.integration.console.served import session_cookies
from tests.integration.serving import free_port
from tests.operators import OPERATOR, OPERATOR_KEY

WIDTHS = {"wide": (1280, 900), "narrow": (390, 844)}


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    """The browser that `make test-browser` found."""
    async with async_playwright() as playwright:
        options: dict[str, Any] = {"executable_path": os.environ[BROWSER_VARIABLE], "args": ["--no-sandbox"]}
        browser = await playwright.chromium.launch(**options)
        yield browser
        await browser.close()


@dataclass
class Visit:
    """A page of the console, with what the browser complained of and everything that it sent."""

    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)

    async def go(self, path: str) -> None:
        """Open a page of the console."""
        answer = await self.page.goto(self.base + path)
        assert answer is not None
        assert answer.status == 200, path

    async def store_key(self, key: bytes = OPERATOR_KEY) -> None:
        """Give this browser the user's key."""
        await self.go("/signing-key")
        await self.page.get_by_label("Private key").fill(key.hex())
        await self.page.get_by_role("button", name="Store in this browser").click()
        await self.page.get_by_text("This browser has a key for").wait_for()

    async def act(self, button: str, reason: str) -> None:
        """Give a reason in the form of a button, and press it."""
        form = self.page.locator("form", has=self.page.get_by_role("button", name=button))
        await form.locator("input[name=reason]").fill(reason)
        await form.get_by_role("button", name=button).click()

    async def shoot(self, name: str) -> None:
        """Keep a picture of the page where `SWITCHYARD_TEST_SCREENSHOTS` says."""
        if folder := os.environ.get("SWITCHYARD_TEST_SCREENSHOTS"):
            await self.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


NewVisit = Callable[..., Awaitable[Visit]]


class Site:
    """The console at an address of its own, which can be stopped and started."""

    def __init__(self, console: Console) -> None:
        self._port = free_port()
        self.base = f"http://127.0.0.1:{self._port}"
        views = console.views
        self._app = ConsoleApp(views.pages, views.handlers(), views.open_handlers(), self.base, views.guard).build()
        self._server: WebServer | None = None

    def start(self) -> None:
        """Listen."""
        self._server = WebServer(self._app, "127.0.0.1", self._port)

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            await self._server.stop()
        self._server = None


@pytest.fixture
async def site(console: Console) -> AsyncIterator[Site]:
    """The console as a browser finds it."""
    running = Site(console)
    running.start()
    yield running
    await running.stop()


@pytest.fixture
async def visit(chromium: Browser, console: Console, site: Site) -> NewVisit:
    """Opens a browser window of somebody who is logged in."""
    base = site.base

    async def open_window(
        *roles: ConsoleRole, width: str = "wide", dark: bool = False, javascript: bool = True, name: str = OPERATOR
    ) -> Visit:
        across, down = WIDTHS[width]
        context = await chromium.new_context(
            viewport={"width": across, "height": down},
            color_scheme="dark" if dark else "light",
            java_script_enabled=javascript,
        )
        cookies = session_cookies(console.views, roles or ROLES, name)
        await context.add_cookies([{"name": each, "value": value, "url": base} for each, value in cookies.items()])
        made = Visit(await context.new_page(), base)
        made.page.on(
            "console", lambda message: made.complaints.append(message.text) if message.type == "error" else None
        )
        made.page.on("pageerror", lambda error: made.complaints.append(str(error)))
        made.page.on("request", lambda request: made.sent.append(f"{request.url} {request.post_data or ''}"))
        return made

    return open_window
