"""The console as an ASGI application: routes from the table of endpoints, and what holds for each of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID

import asyncpg
import structlog
from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from switchyard.console.access import ENDPOINTS, ConsoleRole, Endpoint
from switchyard.console.pages import HEADERS, HEADERS_OVER_TLS, STATIC_FOLDER, Pages
from switchyard.console.sessions import FORM_FIELD, User
from switchyard.console.tenants import TenantGuard
from switchyard.runtime.core.errors import Unavailable

log = structlog.get_logger(__name__)
MAX_FORM_BYTES = 2_000_000
RETRY_AFTER_S = 5
MAX_FILTER_CHARS = 200
NEEDS_EVERY_TENANT = "This concerns every tenant, and your log-in is for some. Ask somebody whose log-in is for all."


class BadInput(Exception):
    """What a person sent cannot be used. The message names the field and the remedy."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


@dataclass(frozen=True)
class Call:
    """One request of a user whose role suffices. `form` is empty for GET."""

    request: Request
    user: User
    form: FormData
    guard: TenantGuard

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters in the URL."""
        return self.request.query_params

    async def require_cases(self, case_ids: Iterable[UUID]) -> None:
        """Raises `BadInput` (404) unless the person may see each of these cases."""
        wanted = {str(each) for each in case_ids}
        if await self.guard.visible(wanted, self.user.tenants) != wanted:
            raise BadInput("the log has no such case of your tenants: search for it in the list", 404)

    def require_every_tenant(self) -> None:
        """Raises `BadInput` (403) unless the person may see every tenant."""
        if self.user.tenants is not None:
            raise BadInput(NEEDS_EVERY_TENANT, 403)

    def field(self, name: str, *, most: int = 2_000) -> str:
        """A field of the form, without blanks around it. Raises `BadInput` without one, or if it is too long."""
        value = self.form.get(name)
        text = value.strip() if isinstance(value, str) else ""
        if not text:
            raise BadInput(f"the field {name} is missing: fill it in")
        if len(text) > most or "\0" in text:
            raise BadInput(f"the field {name} has {len(text)} characters: write at most {most}, without NUL")
        return text


def read_filter(query: Mapping[str, str], name: str) -> str | None:
    """A filter of the URL, without blanks around it; None without one. Raises `BadInput` if it cannot be used."""
    text = (query.get(name) or "").strip()
    if len(text) > MAX_FILTER_CHARS or "\0" in text:
        raise BadInput(f"{name} has {len(text)} characters: write at most {MAX_FILTER_CHARS}, without NUL")
    return text or None


def read_uuid(text: str, name: str) -> UUID:
    """A UUID. Raises `BadInput`, which names the field."""
    try:
        return UUID(text)
    except ValueError:
        raise BadInput(f"{name} is not an id: expected a UUID") from None


Handler = Callable[[Call], Awaitable[Response]]
OpenHandler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class ConsoleApp:
    """Handlers by the names of `ENDPOINTS`; `open_handlers` are those that need no log-in. Raises `ValueError` unless
    each endpoint has one."""

    pages: Pages
    handlers: Mapping[str, Handler]
    open_handlers: Mapping[str, OpenHandler]
    base_url: str
    """Where browsers find the console; a form from another origin is refused."""

    guard: TenantGuard

    def build(self) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        """The application."""
        public = {name for name, endpoint in ENDPOINTS.items() if endpoint.roles is None}
        if set(self.open_handlers) != public or set(self.handlers) != ENDPOINTS.keys() - public:
            raise ValueError("every endpoint of the table needs one handler, and no other handler exists")
        routes: list[Any] = [
            Route(endpoint.path, self._route(name, endpoint), methods=[endpoint.method], name=name)
            for name, endpoint in ENDPOINTS.items()
        ]
        routes.append(Mount("/static", StaticFiles(directory=STATIC_FOLDER), name="static"))
        app = Starlette(
            routes=routes,
            exception_handlers={
                HTTPException: self._http_error,
                BadInput: self._bad_input,
                Unavailable: self._unavailable,
                Exception: self._defect,
            },
        )
        return _with_headers(app, HEADERS_OVER_TLS if self.base_url.startswith("https://") else HEADERS)

    def _route(self, name: str, endpoint: Endpoint) -> OpenHandler:
        if endpoint.roles is None:
            return self.open_handlers[name]
        handler = self.handlers[name]

        async def guarded(request: Request) -> Response:
            user = self.pages.sessions.user(request.cookies)
            if user is None:
                return self._ask_to_log_in(request)
            if not endpoint.allows(user.roles):
                log.warning("console.not_allowed", user=user.name, endpoint=name)
                return self._message(403, _needed_role(endpoint.roles or ()), user)
            if endpoint.every_tenant and user.tenants is not None:
                return self._message(403, NEEDS_EVERY_TENANT, user)
            form = FormData()
            if endpoint.method == "POST":
                form = await self._read_form(request)
                token = form.get(FORM_FIELD)
                sent = token if isinstance(token, str) else ""
                if not self._is_own_origin(request) or not self.pages.sessions.is_form_token(user, sent):
                    log.warning("console.foreign_form", user=user.name, endpoint=name)
                    return self._message(403, "This form is not of your session. Go back, reload and try again.", user)
            call = Call(request, user, form, self.guard)
            if (case_id := request.path_params.get("case_id")) is not None:
                await call.require_cases([read_uuid(case_id, "case")])
            return await handler(call)

        return guarded

    async def _read_form(self, request: Request) -> FormData:
        """The form. Raises `BadInput` for one that is too long."""
        length = request.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > MAX_FORM_BYTES:
            raise BadInput(f"the form is too long: send at most {MAX_FORM_BYTES} bytes", 413)
        try:
            return await request.form(max_files=0, max_fields=5_000, max_part_size=MAX_FORM_BYTES)
        except (ClientDisconnect, HTTPException) as error:
            raise BadInput("the form cannot be read: send it again") from error

    def _is_own_origin(self, request: Request) -> bool:
        origin = request.headers.get("origin")
        return origin is None or origin == "{0.scheme}://{0.netloc}".format(urlsplit(self.base_url))

    def _ask_to_log_in(self, request: Request) -> Response:
        if request.method != "GET" or "text/event-stream" in request.headers.get("accept", ""):
            return self._message(401, "Your session has ended. Log in again.", None)
        page = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?then={quote(page, safe='')}", 303)

    def _message(self, status: int, message: str, user: User | None) -> Response:
        return self.pages.page("message.html", user, status=status, title=_TITLES.get(status, "Error"), message=message)

    def _user(self, request: Request) -> User | None:
        return self.pages.sessions.user(request.cookies)

    async def _http_error(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        message = {404: "There is no such page.", 405: "This page does not accept that method."}.get(status, str(error))
        return self._message(status, message, self._user(request))

    async def _bad_input(self, request: Request, error: Exception) -> Response:
        status = error.status if isinstance(error, BadInput) else 400
        return self._message(status, str(error), self._user(request))

    def _tries_again(self, request: Request, error: Exception) -> bool:
        """Whether the page reloads itself: not what was sent, what takes too long, and what records each opening."""
        is_page = request.method == "GET" and "text/event-stream" not in request.headers.get("accept", "")
        took_too_long = isinstance(error.__cause__, TimeoutError | asyncpg.QueryCanceledError)
        return is_page and not took_too_long and not request.url.path.startswith("/approvals/")

    async def _unavailable(self, request: Request, error: Exception) -> Response:
        message = error.message if isinstance(error, Unavailable) else str(error)
        log.warning("console.unavailable", why=message)
        answer = self.pages.page(
            "unavailable.html",
            self._user(request),
            status=503,
            why=message,
            retry_s=RETRY_AFTER_S,
            sent=request.method == "POST",
            again=(again := self._tries_again(request, error)),
        )
        answer.headers["Retry-After"] = str(RETRY_AFTER_S)
        if again:
            answer.headers["Refresh"] = str(RETRY_AFTER_S)
        return answer

    async def _defect(self, request: Request, error: Exception) -> Response:
        log.error("console.defect", path=request.url.path, error=type(error).__name__, exc_info=error)
        return self._message(500, "This page has a defect; the console's log has its cause.", self._user(request))


_TITLES = {
    400: "Not understood",
    401: "Logged out",
    403: "Not allowed",
    404: "Not found",
    405: "Not allowed",
    409: "Not possible now",
    413: "Too long",
    500: "Defect",
}


def _needed_role(roles: Sequence[ConsoleRole] | frozenset[ConsoleRole]) -> str:
    return f"This needs the role {' or '.join(sorted(roles))}. Your administrator gives roles at the identity provider."


def _with_headers(app: Starlette, headers: Mapping[str, str]) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Every answer has the security headers; static files may be kept, because their addresses change with them."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        static = scope["type"] == "http" and scope["path"].startswith("/static/")

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                keep = static and message["status"] == 200
                ours = dict(headers) | ({"Cache-Control": "public, max-age=31536000, immutable"} if keep else {})
                names = {name.lower().encode() for name in ours}
                # Content that is not ours has a policy of its own, a stricter one.
                own = {name for name, _ in message["headers"] if name == b"content-security-policy"}
                kept = [(name, value) for name, value in message["headers"] if name not in names - own]
                ours = {name: value for name, value in ours.items() if name.lower().encode() not in own}
                message["headers"] = kept + [(name.lower().encode(), value.encode()) for name, value in ours.items()]
            await send(message)

        await app(scope, receive, send_with_headers)

    return wrapped
