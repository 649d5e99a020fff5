"""Logging in and out, and the page of a person's signing key."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from switchyard.console.app import Call, Handler
from switchyard.console.login import Login, LoginFailed
from switchyard.console.pages import Pages

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class SessionViews:
    """How a session begins and ends."""

    pages: Pages
    login: Login

    def handlers(self) -> dict[str, Handler]:
        """By the names of `ENDPOINTS`."""
        return {
            "logout": self.log_out,
            "signing_key": self.show_signing_key,
        }

    async def log_in(self, request: Request) -> Response:
        then = request.query_params.get("then", "/")
        attempt = self.login.start(then if is_own_page(then) else "/")
        answer = RedirectResponse(attempt.url, 303)
        self.pages.sessions.begin_login(answer, attempt.remembered)
        return answer

    async def finish_login(self, request: Request) -> Response:
        remembered = self.pages.sessions.take_login(request.cookies)
        try:
            name, roles, tenants = await self.login.finish(request.query_params, remembered)
        except LoginFailed as error:
            log.warning("console.login_failed", why=str(error))
            failed = self.pages.page("message.html", status=403, title="Not logged in", message=str(error))
            self.pages.sessions.end_login(failed)
            return failed
        then = (remembered or {}).get("then", "/")
        log.info("console.login", user=name, roles=list(roles), tenants="*" if tenants is None else list(tenants))
        answer = RedirectResponse(then if is_own_page(then) else "/", 303)
        self.pages.sessions.end_login(answer)
        self.pages.sessions.begin(answer, name, roles, tenants)
        return answer

    async def log_out(self, call: Call) -> Response:
        answer = self.pages.page("message.html", title="Logged out", message="You are logged out of the console.")
        self.pages.sessions.end(answer)
        return answer

    async def show_signing_key(self, call: Call) -> Response:
        return self.pages.page("signing_key.html", call.user, here="signing_key")


def is_own_page(path: str) -> bool:
    """Whether a browser that is sent there stays with us."""
    return path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
