"""Every endpoint of the API once: what it takes, what it answers, and which problems it may answer with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from switchyard.api.problems import (
    Gone,
    GrantForbidden,
    InvalidRequest,
    LoginRequired,
    NotFound,
    Problem,
    TemporarilyUnavailable,
    TooLong,
    TooManyRequests,
)
from switchyard.api.views import (
    CaseListView,
    CaseView,
    EventView,
    ForgettingView,
    MemoryDetailView,
    MemoryListView,
)

PREFIX = "/v1"
_ALWAYS: tuple[type[Problem], ...] = (LoginRequired, TooManyRequests, TemporarilyUnavailable)


@dataclass(frozen=True)
class Parameter:
    """A parameter of a request."""

    name: str
    where: Literal["path", "query", "header"]
    description: str
    required: bool = False


CASE_ID = Parameter("case_id", "path", "The id that `POST /v1/cases` answered.", required=True)


@dataclass(frozen=True)
class ApiEndpoint:
    """One route. What is posted goes to the function behind the API, `answered` by it with `status`."""

    name: str
    method: Literal["GET", "POST"]
    path: str
    summary: str
    parameters: tuple[Parameter, ...] = ()
    answer: type[BaseModel] | None = None
    media_type: str = "application/json"
    problems: tuple[type[Problem], ...] = ()
    open: bool = False
    """Whether it needs no token."""

    @property
    def all_problems(self) -> tuple[type[Problem], ...]:
        """Every problem that it may answer with."""
        return self.problems if self.open else (*_ALWAYS, *self.problems)


READS: tuple[ApiEndpoint, ...] = (
    ApiEndpoint(
        "list_cases",
        "GET",
        f"{PREFIX}/cases",
        "The caller's own cases, the latest first.",
        (
            Parameter("limit", "query", "How many, 1 to 100; 20 if absent."),
            Parameter("before", "query", "Where the page begins: part of `next` of the page before."),
            Parameter("session", "query", "Only cases of this session."),
        ),
        CaseListView,
        problems=(InvalidRequest,),
    ),
    ApiEndpoint(
        "get_case",
        "GET",
        f"{PREFIX}/cases/{{case_id}}",
        "One case: its status, and its answer once there is one.",
        (CASE_ID,),
        CaseView,
        problems=(NotFound,),
    ),
    ApiEndpoint(
        "get_events",
        "GET",
        f"{PREFIX}/cases/{{case_id}}/events",
        "The events of a case as server-sent events, until it has ended. `id` is the position: a gap shows.",
        (
            CASE_ID,
            Parameter(
                "Last-Event-ID", "header", "The `id` of the last event that was read: the stream goes on after it."
            ),
        ),
        EventView,
        media_type="text/event-stream",
        problems=(InvalidRequest, NotFound),
    ),
    ApiEndpoint(
        "get_artefact",
        "GET",
        f"{PREFIX}/cases/{{case_id}}/artefacts/{{sha256}}",
        "The bytes of one result: findings, a chart, a file.",
        (CASE_ID, Parameter("sha256", "path", "As the case's `artefacts` name it.", required=True)),
        media_type="application/octet-stream",
        problems=(NotFound, Gone),
    ),
    ApiEndpoint(
        "list_memory",
        "GET",
        f"{PREFIX}/memory",
        "What is remembered of the caller: each with its source, date, expiry and kind.",
        answer=MemoryListView,
        problems=(NotFound,),
    ),
    ApiEndpoint(
        "get_memory",
        "GET",
        f"{PREFIX}/memory/{{memory_id}}",
        "One memory: what it says, where it comes from, and which cases used it.",
        (Parameter("memory_id", "path", "As `GET /v1/memory` lists it.", required=True),),
        MemoryDetailView,
        problems=(NotFound,),
    ),
    ApiEndpoint(
        "get_forgetting",
        "GET",
        f"{PREFIX}/forgettings/{{request_id}}",
        "What became of a request of the caller to forget.",
        (Parameter("request_id", "path", "The id that `POST /v1/forgettings` answered.", required=True),),
        ForgettingView,
        problems=(NotFound,),
    ),
    ApiEndpoint("get_openapi", "GET", f"{PREFIX}/openapi.json", "This document.", open=True),
)
"""What the API answers itself."""


@dataclass(frozen=True)
class PostedRequest:
    """What the function behind the API takes at a path."""

    path: str
    summary: str
    body: type[BaseModel]
    answer: type[BaseModel]
    status: int
    parameters: tuple[Parameter, ...] = ()

    def endpoint(self) -> ApiEndpoint:
        """Its endpoint."""
        return ApiEndpoint(
            f"post_{self.path}",
            "POST",
            f"{PREFIX}/{self.path}",
            self.summary,
            self.parameters,
            self.answer,
            problems=(InvalidRequest, TooLong, NotFound, GrantForbidden),
        )
