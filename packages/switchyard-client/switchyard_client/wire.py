"""The protocol without I/O: requests, answers, retries and the stream of events. Both clients drive it."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from switchyard_client.errors import (
    BY_CODE,
    ApiError,
    CaseRejected,
    ConsentNeeded,
    EventGap,
    NotFound,
    TemporarilyUnavailable,
    TooManyRequests,
    Unreachable,
    WaitTimeout,
)
from switchyard_client.models import Case, CaseEvent, read_event

APPEARS_S = 30.0
"""How long a case that was just submitted may take until it can be read."""

READ_TIMEOUT_S = 30.0
"""Without a byte for so long a stream is dead: the API sends a heartbeat every ten seconds."""

TRANSIENT = (TooManyRequests, TemporarilyUnavailable, Unreachable)
Token = str | Callable[[], str]
"""The user's token, or what gives a fresh one: it is called for each request."""


@dataclass(frozen=True)
class Call:
    """One request. Each may be repeated: what is posted names itself."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    case_id: str | None = None
    """The case, or the request, that it reads: one that was just posted may still appear."""


def submit_call(
    question: str,
    *,
    session: str,
    key: str | None,
    agent: str | None,
    deadline_ms: int | None,
    refresh_token: str | None,
) -> Call:
    """Ask a question. Without a key it gets one of its own, so that a retry is the same question."""
    body: dict[str, Any] = {"question": question, "idempotency_key": key or str(uuid.uuid4())}
    if agent is not None:
        body["agent"] = agent
    if deadline_ms is not None:
        body["deadline_ms"] = deadline_ms
    return Call("POST", "/v1/cases", body, {"X-Session-Id": session} | refresh_header(refresh_token))


def refresh_header(refresh_token: str | None) -> dict[str, str]:
    """What lets the identity service renew the token while a case waits."""
    return {} if refresh_token is None else {"X-Refresh-Token": refresh_token}


def list_call(*, limit: int | None, session: str | None, after: str | None) -> Call:
    """A page of cases; `after` is the path of the next one."""
    if after is not None:
        return Call("GET", after)
    params = {"limit": None if limit is None else str(limit), "session": session}
    return Call("GET", "/v1/cases", params={name: value for name, value in params.items() if value is not None})


def forget_call(memory_id: str | None, key: str | None) -> Call:
    """Have one memory forgotten, or with None all. Without a key it gets one of its own."""
    scope = {"scope": "all"} if memory_id is None else {"scope": "one", "memory": memory_id}
    return Call("POST", "/v1/forgettings", scope | {"idempotency_key": key or str(uuid.uuid4())})


def headers_of(call: Call, token: Token) -> dict[str, str]:
    """The headers of a request."""
    return {"Authorization": f"Bearer {token() if callable(token) else token}", **call.headers}


def read_answer(status: int, headers: Mapping[str, str], content: bytes) -> Any:
    """The body of an answer as JSON. Raises `ApiError` for a problem, and `Unreachable` for what the API never says."""
    if status < 300:
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise Unreachable("what answered is not the API: its body is no JSON") from None
    raise read_problem(status, headers, content)


def read_problem(status: int, headers: Mapping[str, str], content: bytes) -> Exception:
    """The error of an answer."""
    try:
        problem = json.loads(content)
        kind = BY_CODE.get(str(problem["code"]), ApiError)
        return kind(
            str(problem["detail"]),
            status=status,
            remedy=str(problem.get("remedy", "")),
            field=problem.get("field"),
            retry_after_s=_retry_after(headers),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        # A proxy on the way: its 5xx and 429 may pass, too.
        if status == 429:
            return TooManyRequests("too many requests", status=status, retry_after_s=_retry_after(headers))
        return Unreachable(f"what answered {status} is not the API")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    text = headers.get("Retry-After") or headers.get("retry-after") or ""
    return float(text) if text.isascii() and text.isdecimal() else None


@dataclass
class Retries:
    """How often a call is repeated, and after which pause: as the API says, or longer and longer."""

    most: int
    base_s: float = 0.25
    longest_s: float = 15.0
    failures: int = 0

    def pause_s(self, error: Exception) -> float:
        """The pause before the next attempt. Raises the error when it was repeated often enough."""
        if not isinstance(error, TRANSIENT) or self.failures >= self.most:
            raise error
        wanted: float | None = getattr(error, "retry_after_s", None)
        pause: float = min(self.longest_s, self.base_s * 2**self.failures) * (0.5 + random.random() / 2)  # noqa: S311
        self.failures += 1
        return pause if wanted is None else max(pause, wanted)

    def succeeded(self) -> None:
        """Begin anew."""
        self.failures = 0


class NewCases:
    """Cases that this client has just submitted, which the log does not have yet."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._since: dict[str, float] = {}

    def add(self, case_id: str) -> None:
        """Remember one; older ones are forgotten."""
        now = self._now()
        self._since = {case: since for case, since in self._since.items() if now - since <= APPEARS_S}
        self._since[case_id] = now

    def may_appear(self, case_id: str | None) -> bool:
        """Whether a case that is not found was submitted so lately that it may still appear."""
        since = self._since.get(case_id or "")
        return since is not None and self._now() - since <= APPEARS_S


@dataclass
class StreamCursor:
    """Where a stream is: reads its lines, and says what to do when it ends. A reconnection goes on after `position`."""

    case_id: str
    position: int = 0
    ended: bool = False
    _lines: list[tuple[str, str]] = field(default_factory=list)

    @property
    def call(self) -> Call:
        """The request that goes on from here."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": str(self.position)} if self.position else {})
        return Call("GET", f"/v1/cases/{self.case_id}/events", headers=headers, case_id=self.case_id)

    def connected(self) -> None:
        """A new connection: what was half read is forgotten, and comes again."""
        self._lines.clear()

    def read_line(self, line: str) -> Iterator[CaseEvent]:
        """The events that a line completes: one or none. Raises `EventGap`."""
        if line:
            name, _, value = line.partition(":")
            self._lines.append((name, value.removeprefix(" ")))
            return
        lines, self._lines = self._lines, []
        kind = next((value for name, value in lines if name == "event"), "")
        data = "\n".join(value for name, value in lines if name == "data")
        if kind == "transition":
            try:
                event = read_event(json.loads(data))
            except (ValueError, RecursionError, Unreachable):
                raise EventGap("an event cannot be read: what answers may not be the API") from None
            if event.position > self.position + 1:
                raise EventGap(f"event {event.position} came after event {self.position}")
            if event.position == self.position + 1:
                self.position = event.position
                yield event
        elif kind == "gap":
            raise EventGap(f"the log ends before event {self.position}, which was read")
        elif kind == "end":
            self.ended = True


@dataclass
class Waiting:
    """Waits for a case to end: what `wait` decides after each look."""

    timeout_s: float | None
    now: Callable[[], float] = time.monotonic
    began: float = 0.0

    def __post_init__(self) -> None:
        self.began = self.now()

    def missing(self, error: NotFound) -> None:
        """The case is not there: raise unless it may still appear."""
        if self.now() - self.began > APPEARS_S:
            raise error
        self.check_time()

    def check_time(self) -> None:
        """Raise `WaitTimeout` when the time is up."""
        if self.timeout_s is not None and self.now() - self.began > self.timeout_s:
            raise WaitTimeout(f"the case did not end within {self.timeout_s:g} s; it goes on")

    def left_s(self) -> float | None:
        """The time that is left; None without a limit."""
        return None if self.timeout_s is None else max(0.1, self.timeout_s - (self.now() - self.began))


def settled(case: Case, consented: Set[str], waiting: Waiting) -> bool:
    """Whether a case needs no more waiting. Raises `CaseRejected` or `ConsentNeeded` if waiting does not help."""
    if case.status == "rejected":
        raise CaseRejected(case)
    if case.status == "waiting" and not (
        case.consent is not None and case.consent.grant in consented and waiting.now() - waiting.began < APPEARS_S
    ):
        raise ConsentNeeded(case)
    return case.status == "closed"


ASKS_FOR_CONSENT = "ConsentRequested"
"""The event after which `wait` looks at the case before it ends."""

LOOK_AGAIN_S = 0.3


class LineSplitter:
    """Splits a stream of bytes at line feeds, and at nothing else that some call a line break."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that are complete now."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.removesuffix(b"\r").decode("utf-8", "replace") for line in lines]
