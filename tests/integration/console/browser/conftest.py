"""Chromium, driven by Playwright, in front of a console that listens on a port of its own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
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

    async def store_key(self) -> None:
        """Give this browser the operator's key."""
        await self.go("/signing-key")
        await self.page.get_by_label("Private key").fill(OPERATOR_KEY.hex())
        await self.page.get_by_role("button", name="Store in this browser").click()
        await self.page.get_by_text(f"This browser has a key for {OPERATOR}").wait_for()


NewVisit = Callable[..., Awaitable[Visit]]


@pytest.fixture
async def visit(chromium: Browser, console: Console) -> AsyncIterator[NewVisit]:
    """Opens a browser window of somebody who is logged in."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    app = ConsoleApp(console.views.pages, console.views.handlers(), console.views.open_handlers(), base).build()
    server = WebServer(app, "127.0.0.1", port)

    async def open_window(
        *roles: ConsoleRole, width: str = "wide", dark: bool = False, javascript: bool = True
    ) -> Visit:
        across, down = WIDTHS[width]
        context = await chromium.new_context(
            viewport={"width": across, "height": down},
            color_scheme="dark" if dark else "light",
            java_script_enabled=javascript,
        )
        cookies = session_cookies(console.views, roles or ROLES)
        await context.add_cookies([{"name": name, "value": value, "url": base} for name, value in cookies.items()])
        made = Visit(await context.new_page(), base)
        made.page.on(
            "console", lambda message: made.complaints.append(message.text) if message.type == "error" else None
        )
        made.page.on("pageerror", lambda error: made.complaints.append(str(error)))
        made.page.on("request", lambda request: made.sent.append(f"{request.url} {request.post_data or ''}"))
        return made

    yield open_window
    await server.stop()
