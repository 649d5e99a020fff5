"""The client for ordinary code."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from types import TracebackType
from typing import Any, Literal, Self

import httpx2

from switchyard_client import wire
from switchyard_client.errors import NotFound, Unreachable
from switchyard_client.models import (
    Artefact,
    Case,
    CaseEvent,
    CasePage,
    Forgetting,
    Memory,
    Submitted,
    read_case,
    read_forgetting,
    read_memories,
    read_memory,
    read_page,
    read_submitted,
)


class Client:
    """Asks as one user. `token` is their access token, or a function that gives a fresh one."""

    def __init__(
        self,
        url: str,
        token: wire.Token,
        *,
        refresh_token: str | None = None,
        timeout_s: float = 20.0,
        retries: int = 6,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """`url` is the deployment's, without a path. A call is repeated up to `retries` times while the API is away."""
        self._token = token
        self._refresh_token = refresh_token
        self._retries = retries
        self._timeout_s = timeout_s
        self._consented = set[str]()
        self._new = wire.NewCases()
        self._http = httpx2.Client(base_url=url, timeout=timeout_s, transport=transport, follow_redirects=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def submit(
        self,
        question: str,
        *,
        session: str,
        key: str | None = None,
        agent: str | None = None,
        deadline_ms: int | None = None,
    ) -> Submitted:
        """Ask a question. `key` names it: sent again under it, it is the same case. Raises `SwitchyardError`."""
        call = wire.submit_call(
            question, session=session, key=key, agent=agent, deadline_ms=deadline_ms, refresh_token=self._refresh_token
        )
        submitted = read_submitted(self._json(call))
        self._new.add(submitted.case_id)
        return submitted

    def case(self, case_id: str) -> Case:
        """A case as it is now. Raises `NotFound` for one that is not this user's."""
        return read_case(self._json(wire.Call("GET", f"/v1/cases/{case_id}", case_id=case_id)))

    def cases(self, *, limit: int | None = None, session: str | None = None, after: str | None = None) -> CasePage:
        """A page of this user's cases; `after` is `next` of the page before."""
        return read_page(self._json(wire.list_call(limit=limit, session=session, after=after)))

    def events(self, case_id: str, *, after: int = 0) -> Iterator[CaseEvent]:
        """The events of a case from a position on, each once, until it has ended; a lost connection is resumed. Raises
        `EventGap` rather than leave one out."""
        cursor = wire.StreamCursor(case_id, after)
        return self._follow(cursor, wire.Waiting(None))

    def wait(self, case_id: str, *, timeout_s: float | None = None) -> Case:
        """Wait until a case has ended. Raises `ConsentNeeded`, `CaseRejected` or `WaitTimeout`."""
        waiting, cursor = wire.Waiting(timeout_s), wire.StreamCursor(case_id)
        while True:
            try:
                with closing(self._follow(cursor, waiting)) as events:
                    for event in events:
                        if event.type == wire.ASKS_FOR_CONSENT:
                            break
                case = self.case(case_id)
            except NotFound as error:
                waiting.missing(error)
            else:
                if wire.settled(case, self._consented, waiting):
                    return case
                cursor.ended = False
                waiting.check_time()
            time.sleep(wire.LOOK_AGAIN_S)

    def ask(self, question: str, *, session: str, timeout_s: float | None = None, key: str | None = None) -> Case:
        """Submit a question and wait for its case to end. Raises like `submit` and `wait`."""
        return self.wait(self.submit(question, session=session, key=key).case_id, timeout_s=timeout_s)

    def artefact(self, artefact: Artefact) -> bytes:
        """The bytes of a result of a case. Raises `Gone` if they were erased."""
        return self._send(wire.Call("GET", artefact.url)).content

    def consent(self, grant: str) -> None:
        """Let the cases go on that wait for this grant: the token must be of a new log-in."""
        header = wire.refresh_header(self._refresh_token)
        self._json(wire.Call("POST", "/v1/consents", {"grant": grant}, header))
        self._consented.add(grant)

    def revoke(self, grant: str) -> None:
        """Take back what this user allowed agents to do."""
        self._json(wire.Call("POST", "/v1/revocations", {"grant": grant}))

    def feedback(self, case_id: str, thumb: Literal["up", "down"], reason: str | None = None) -> None:
        """Say whether the answer of a case that has ended was good. Said again it counts once."""
        body = {"case_id": case_id, "thumb": thumb} | ({} if reason is None else {"reason": reason})
        self._json(wire.Call("POST", "/v1/feedback", body))

    def memories(self) -> tuple[Memory, ...]:
        """What is remembered of this user, without what it says: the latest 500."""
        return read_memories(self._json(wire.Call("GET", "/v1/memory")))

    def memory(self, memory_id: str) -> Memory:
        """One memory with what it says and where it was used. Raises `NotFound` for one that is not this user's."""
        return read_memory(self._json(wire.Call("GET", f"/v1/memory/{memory_id}")))

    def export_memory(self) -> tuple[Memory, ...]:
        """All that `memories` lists, each with what it says. What is forgotten meanwhile is left out."""
        found = []
        for each in self.memories():
            try:
                found.append(self.memory(each.id))
            except NotFound:
                continue
        return tuple(found)

    def forget(self, memory_id: str, *, key: str | None = None) -> str:
        """Have one memory forgotten; the id of the request."""
        return self._forget(wire.forget_call(memory_id, key))

    def forget_everything(self, *, key: str | None = None) -> str:
        """Have all that is remembered of this user forgotten; the id of the request."""
        return self._forget(wire.forget_call(None, key))

    def forgetting(self, request_id: str) -> Forgetting:
        """What became of a request to forget."""
        call = wire.Call("GET", f"/v1/forgettings/{request_id}", case_id=request_id)
        return read_forgetting(self._json(call))

    def _forget(self, call: wire.Call) -> str:
        request_id = str((self._json(call))["request_id"])
        self._new.add(request_id)
        return request_id

    def _json(self, call: wire.Call) -> Any:
        response = self._send(call)
        return wire.read_answer(response.status_code, response.headers, response.content)

    def _send(self, call: wire.Call) -> httpx2.Response:
        retries = wire.Retries(self._retries)
        while True:
            try:
                return self._send_once(call)
            except NotFound:
                if not self._new.may_appear(call.case_id):
                    raise
                time.sleep(wire.LOOK_AGAIN_S)
            except wire.TRANSIENT as error:
                time.sleep(retries.pause_s(error))

    def _send_once(self, call: wire.Call) -> httpx2.Response:
        headers = wire.headers_of(call, self._token)
        try:
            response = self._http.request(
                call.method, call.path, json=call.body, params=call.params or None, headers=headers
            )
        except httpx2.TransportError as error:
            raise Unreachable(f"the API cannot be reached ({type(error).__name__})") from error
        if response.status_code >= 300:
            raise wire.read_problem(response.status_code, response.headers, response.content)
        return response

    def _follow(self, cursor: wire.StreamCursor, waiting: wire.Waiting) -> Generator[CaseEvent, None, None]:
        retries = wire.Retries(self._retries)
        while not cursor.ended:
            cursor.connected()
            lost: Exception = Unreachable("the stream ended before the case")
            try:
                timeout = httpx2.Timeout(self._timeout_s, read=min(wire.READ_TIMEOUT_S, waiting.left_s() or 1e9))
                headers = wire.headers_of(cursor.call, self._token)
                with self._http.stream("GET", cursor.call.path, headers=headers, timeout=timeout) as response:
                    if response.status_code >= 300:
                        raise wire.read_problem(response.status_code, response.headers, response.read())
                    lines = wire.LineSplitter()
                    for data in response.iter_bytes():
                        retries.succeeded()
                        for line in lines.feed(data):
                            yield from cursor.read_line(line)
                        if cursor.ended:
                            return
                        waiting.check_time()
            except httpx2.TransportError as error:
                lost = Unreachable(f"the stream was lost ({type(error).__name__})")
            except NotFound:
                if not self._new.may_appear(cursor.case_id):
                    raise
                waiting.check_time()
                time.sleep(wire.LOOK_AGAIN_S)
                continue
            except wire.TRANSIENT as error:
                lost = error
            waiting.check_time()
            time.sleep(retries.pause_s(lost))
