"""The API as an ASGI application: routes from the table of endpoints, and what holds for each of them."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from switchyard.api.answers import Answers
from switchyard.api.callers import Caller, Callers
from switchyard.api.cases import CallerCases, CaseEvents, no_such_case
from switchyard.api.endpoints import PREFIX, READS
from switchyard.api.event_stream import LAST_EVENT_ID, EventStreamResponse, EventStreams, read_position, rejected_stream
from switchyard.api.memory import CallerMemory, no_such_memory, no_such_request
from switchyard.api.problems import (
    PROBLEM_TYPE,
    Defect,
    Gone,
    MethodNotAllowed,
    NotFound,
    Problem,
    TemporarilyUnavailable,
)
from switchyard.api.views import CaseView
from switchyard.protocol.fields import Json
from switchyard.runtime.core.clock import timestamp
from switchyard.runtime.core.errors import Unavailable

log = structlog.get_logger(__name__)
MAX_READ_BYTES = 65_536
"""Of a body, before the function says how long one may be."""

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_ATTACHMENT = {"Content-Security-Policy": "sandbox; default-src 'none'"}
_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]+")

PostedFunction = Callable[[dict[str, Any]], Mapping[str, Any]]
"""The function behind the API: from an event as API Gateway sends it to an answer as it takes it. It blocks."""

Read = Callable[["ApiApp", Request, Caller], Awaitable[Response]]


@dataclass(frozen=True)
class ApiApp:
    """What requests are answered with. Without `function` nothing can be posted here."""

    callers: Callers
    cases: CallerCases
    answers: Answers
    streams: EventStreams
    document: Json
    memory: CallerMemory | None = None
    function: PostedFunction | None = None

    def build(self) -> Starlette:
        """The application."""
        routes = [
            Route(each.path, self._open_document if each.open else self._guarded(_READS[each.name]), methods=["GET"])
            for each in READS
        ]
        routes.append(Route(f"{PREFIX}/{{path:path}}", self._post, methods=["POST"]))
        return Starlette(
            routes=routes,
            exception_handlers={
                Problem: _problem,
                Unavailable: _unavailable,
                HTTPException: _http_error,
                Exception: _defect,
            },
        )

    def _guarded(self, read: Read) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            caller = await self.callers.caller(request.headers.get("authorization"))
            return await read(self, request, caller)

        return guarded

    async def _open_document(self, _: Request) -> Response:
        return JSONResponse(self.document, headers=_HEADERS)

    async def _post(self, request: Request) -> Response:
        """Answer by the function that runs behind API Gateway; it verifies the token, too."""
        if self.function is None:
            raise NotFound("nothing is posted to this process", field="path", remedy="post to the API's public address")
        await self.callers.caller(request.headers.get("authorization"))
        body = b""
        async for chunk in request.stream():
            # One byte more than is accepted is enough for the function to say so.
            if len(body := body + chunk) > MAX_READ_BYTES:
                break
        event = {
            "httpMethod": request.method,
            "path": request.url.path,
            "headers": dict(request.headers),
            "body": base64.b64encode(body).decode(),
            "isBase64Encoded": True,
        }
        answer = await asyncio.to_thread(self.function, event)
        return Response(answer["body"], answer["statusCode"], answer["headers"])

    async def list_cases(self, request: Request, caller: Caller) -> Response:
        """The caller's own cases."""
        return _json((await self.cases.page(caller, request.query_params)).model_dump())

    async def get_case(self, request: Request, caller: Caller) -> Response:
        """One case."""
        case_id = _case_id(request)
        found, own = await self.cases.find(caller, case_id)
        rejection = await self.cases.rejection(caller, case_id)
        if not found.rows and rejection is None:
            raise no_such_case()
        rejections = [] if rejection is None else [rejection]
        if not found.rows:
            rejected = CaseView(case_id=str(case_id), status="rejected", outcome="rejected", rejections=rejections)
            return _json(rejected.model_dump(exclude_none=True))
        view = await self._view(caller, case_id, found, own=own)
        return _json(view.model_copy(update={"rejections": rejections}).model_dump(exclude_none=True))

    async def get_events(self, request: Request, caller: Caller) -> Response:
        """The stream of a case's events."""
        case_id, after = _case_id(request), read_position(request.headers.get(LAST_EVENT_ID))
        found, _ = await self.cases.find(caller, case_id)
        if not found.rows:
            if await self.cases.rejection(caller, case_id) is None:
                raise no_such_case()
            return EventStreamResponse(rejected_stream(), lambda: None)
        with ExitStack() as held:
            held.enter_context(self.streams.limits.hold(caller.key))
            release = held.pop_all().close
        return EventStreamResponse(self.streams.follow(caller, case_id, after), release)

    async def get_artefact(self, request: Request, caller: Caller) -> Response:
        """The bytes of one result."""
        case_id = _case_id(request)
        found, own = await self.cases.find(caller, case_id)
        if not found.rows:
            raise no_such_case()
        artefact = self.answers.find(found, request.path_params["sha256"])
        data = await self.answers.open(caller, case_id, artefact, own=own)
        known = _MEDIA_TYPE.fullmatch(artefact.media_type) is not None
        attachment = {"Content-Disposition": f'attachment; filename="{re.sub(r"[^a-z0-9_]", "_", artefact.name)}"'}
        media_type = artefact.media_type if known else "application/octet-stream"
        return Response(data, media_type=media_type, headers=_HEADERS | _ATTACHMENT | attachment)

    async def list_memory(self, _: Request, caller: Caller) -> Response:
        """What is remembered of the caller."""
        return _json((await self._memory.list(caller)).model_dump())

    async def get_memory(self, request: Request, caller: Caller) -> Response:
        """One memory."""
        memory_id = _uuid(request, "memory_id", no_such_memory)
        return _json((await self._memory.find(caller, memory_id)).model_dump(exclude_none=True))

    async def get_forgetting(self, request: Request, caller: Caller) -> Response:
        """What became of a request to forget."""
        request_id = _uuid(request, "request_id", no_such_request)
        return _json((await self._memory.forgetting(caller, request_id)).model_dump(exclude_none=True))

    @property
    def _memory(self) -> CallerMemory:
        if self.memory is None:
            raise NotFound("this application keeps no memory", field="path", remedy=_SEE)
        return self.memory

    async def _view(self, caller: Caller, case_id: UUID, found: CaseEvents, *, own: bool) -> CaseView:
        first, ending = found.rows[0], found.ending
        late = first["case_deadline"] < self.cases.clock.now()
        consent = None if ending is not None else found.consent
        answer, problem = None, None
        if ending is not None:
            try:
                answer = await self.answers.answer(caller, case_id, ending, own=own)
            except Gone as gone:
                problem = str(gone)
        ended = {} if ending is None else dict(found.ended_with)
        return CaseView(
            case_id=str(case_id),
            session_id=first["session_id"],
            status="closed" if ending is not None else "unended" if late else "waiting" if consent else "open",
            **ended,
            opened_at=timestamp(first["event_ts"]),
            closed_at=None if ending is None else timestamp(ending["event_ts"]),
            deadline=timestamp(first["case_deadline"]),
            position=found.last or 0,
            consent=consent,
            answer=answer,
            answer_problem=problem,
            artefacts=self.answers.results(case_id, found),
            feedback=found.feedback,
        )


_READS: Mapping[str, Read] = {
    "list_cases": ApiApp.list_cases,
    "get_case": ApiApp.get_case,
    "get_events": ApiApp.get_events,
    "get_artefact": ApiApp.get_artefact,
    "list_memory": ApiApp.list_memory,
    "get_memory": ApiApp.get_memory,
    "get_forgetting": ApiApp.get_forgetting,
}


def _case_id(request: Request) -> UUID:
    """The case in the path. Raises `NotFound` for what is no UUID, as for a case that does not exist."""
    return _uuid(request, "case_id", no_such_case)


def _uuid(request: Request, name: str, missing: Callable[[], NotFound]) -> UUID:
    try:
        return UUID(request.path_params[name])
    except ValueError:
        raise missing() from None


def _json(body: Json) -> Response:
    return JSONResponse(body, headers=_HEADERS)


async def _problem(_: Request, error: Exception) -> Response:
    problem = error if isinstance(error, Problem) else Defect("unknown problem", remedy="tell the operator")
    headers = _HEADERS | problem.headers()
    return JSONResponse(problem.body(), problem.status, headers=headers, media_type=PROBLEM_TYPE)


async def _unavailable(request: Request, error: Exception) -> Response:
    message = error.message if isinstance(error, Unavailable) else "something does not answer"
    log.warning("api.unavailable", why=message)
    return await _problem(request, TemporarilyUnavailable(message, remedy="send the same request again"))


async def _http_error(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == MethodNotAllowed.status:
        return await _problem(request, MethodNotAllowed("the path takes another method", field="method", remedy=_SEE))
    return await _problem(request, NotFound("there is no such route", field="path", remedy=_SEE))


async def _defect(request: Request, error: Exception) -> Response:
    log.error("api.defect", path=request.url.path, error=type(error).__name__, exc_info=error)
    return await _problem(request, Defect("the request met a fault", remedy="tell the operator the time"))


_SEE = f"see {PREFIX}/openapi.json"
