"""Callers follow their cases: each event once, in order, across lost connections, restarts and outages."""

from __future__ import annotations

import asyncio
import json
import resource
import uuid
from collections.abc import AsyncIterator, Callable

import asyncpg
import httpx2
import pytest
from starlette.types import Message

from switchyard.api import event_stream
from switchyard.api.event_stream import EventStreamResponse
from switchyard_client import CaseEvent, EventGap, TooManyRequests, WaitTimeout
from tests.integration.api.conftest import DATABASE, AskedCase, Serve, Served, asked_by, person_called, token
from tests.integration.infrastructure import Infrastructure
from tests.integration.serving import free_port

pytestmark = pytest.mark.integration


def new_case() -> tuple[str, AskedCase]:
    name = f"ana-{uuid.uuid4()}"
    return name, asked_by(person_called(name))


async def collect(events: AsyncIterator[CaseEvent], found: list[CaseEvent]) -> None:
    async for event in events:
        found.append(event)  # noqa: PERF401 - a test looks at what has come


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.02)


async def test_events_come_as_they_are_recorded_and_end_with_the_case(served: Served) -> None:
    name, case = new_case()
    await served.log.record(*case.events)
    found: list[CaseEvent] = []
    async with served.client(name) as client:
        following = asyncio.create_task(collect(client.events(case.case_id), found))
        await until(lambda: len(found) == 1)
        for event in case.answer():
            await served.log.record(event)
        await asyncio.wait_for(following, 30)
        assert (await client.wait(case.case_id, timeout_s=20)).outcome == "answered"
    assert [event.position for event in found] == list(range(1, len(case.events) + 1))
    assert [event.event_id for event in found] == [event["event_id"] for event in case.events]
    assert found[-1].detail == {"outcome": "answered", "code": "answered", "message": ""}


async def test_client_resumes_after_the_last_event_that_it_read(served: Served) -> None:
    name, case = new_case()
    case.answer()
    await served.log.record(*case.events)
    async with served.client(name) as client:
        rest = [event.position async for event in client.events(case.case_id, after=3)]
    assert rest == list(range(4, len(case.events) + 1))
    async with httpx2.AsyncClient(base_url=served.url, headers={"Authorization": f"Bearer {token(name)}"}) as http:
        text = (await http.get(f"/v1/cases/{case.case_id}/events", headers={"Last-Event-ID": "3"})).text
        assert [line for line in text.splitlines() if line.startswith("id:")] == [f"id: {each}" for each in rest]
        for invalid in ("x", "-1", "1" * 13, "1.5", "²"):
            sent = [(b"Last-Event-ID", invalid.encode()), (b"Authorization", f"Bearer {token(name)}".encode())]
            answer = await http.get(f"/v1/cases/{case.case_id}/events", headers=sent)
            assert (answer.status_code, answer.json()["field"]) == (400, "last-event-id")


async def test_late_event_of_a_branch_is_not_lost_to_a_reader_who_is_further(served: Served) -> None:
    name, case = new_case()
    events = case.answer()
    # The bus delivers in any order: an event with a smaller seq is recorded last but one.
    await served.log.record(case.events[0])
    await served.log.record(events[1])
    found: list[CaseEvent] = []
    async with served.client(name) as client:
        following = asyncio.create_task(collect(client.events(case.case_id), found))
        await until(lambda: len(found) == 2)
        await served.log.record(events[0])
        await served.log.record(*events[2:])
        await asyncio.wait_for(following, 30)
    assert {event.event_id for event in found} == {event["event_id"] for event in case.events}
    assert [event.position for event in found] == list(range(1, len(case.events) + 1))
    assert found[2].seq < found[1].seq


async def test_stream_ends_when_what_led_to_the_ending_is_there_too(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, case = new_case()
    events = case.answer()
    # The ending is recorded before the router's word that caused it.
    await served.log.record(case.events[0], *events[:-2])
    await served.log.record(events[-1])
    found: list[CaseEvent] = []
    async with served.client(name) as client:
        following = asyncio.create_task(collect(client.events(case.case_id), found))
        await until(lambda: len(found) == len(case.events) - 1)
        assert not following.done()
        await served.log.record(events[-2])
        await asyncio.wait_for(following, 30)
        assert [event.position for event in found] == list(range(1, len(case.events) + 1))
        # An event that never comes is an alarm of audit's, and holds up no reader.
        monkeypatch.setattr(event_stream, "HEARTBEAT_S", 0.2)
        other, broken = new_case()
        ending = broken.answer()[-1]
        await served.log.record(broken.events[0], ending)
        async with served.client(other) as reader:
            assert len([event async for event in reader.events(broken.case_id)]) == 2


async def test_position_that_the_log_does_not_have_is_a_gap(served: Served) -> None:
    name, case = new_case()
    await served.log.record(*case.events)
    async with served.client(name) as client:
        with pytest.raises(EventGap):
            async for _ in client.events(case.case_id, after=40):
                pass


async def test_server_that_is_cut_off_from_the_log_says_so_and_goes_on(
    serve: Serve, infrastructure: Infrastructure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "AWAY_RETRY_S", 0.1)
    name, case = new_case()
    async with serve() as served:
        await served.log.record(*case.events)
        found: list[CaseEvent] = []
        async with served.client(name) as client, httpx2.AsyncClient(base_url=served.url) as http:
            following = asyncio.create_task(collect(client.events(case.case_id), found))
            await until(lambda: len(found) == 1)
            await infrastructure.stop("postgres")
            try:
                answer = await http.get(f"/v1/cases/{case.case_id}", headers={"Authorization": f"Bearer {token(name)}"})
                assert (answer.status_code, answer.json()["code"]) == (503, "temporarily_unavailable")
                assert int(answer.headers["retry-after"]) > 0
            finally:
                await infrastructure.start("postgres")
            await served.log.record(*case.answer())
            await asyncio.wait_for(following, 60)
    assert [event.position for event in found] == list(range(1, len(case.events) + 1))


async def test_stream_survives_the_death_of_the_server_without_loss_or_double(serve: Serve) -> None:
    name, case = new_case()
    port = free_port()
    found: list[CaseEvent] = []
    async with serve(port=port) as served:
        await served.log.record(*case.events)
        client = served.client(name, retries=20)
        following = asyncio.create_task(collect(client.events(case.case_id), found))
        await until(lambda: len(found) == 1)
        for transport in list(served.server._server.server_state.connections):
            transport.transport.abort()
    await served.log.record(*case.answer()[:2])
    async with serve(port=port):
        await until(lambda: len(found) == 3)
        await served.log.record(*case.events[3:])
        await asyncio.wait_for(following, 60)
    await client.close()
    assert [event.position for event in found] == list(range(1, len(case.events) + 1))


async def test_caller_with_too_many_streams_has_to_wait_and_others_are_served(serve: Serve) -> None:
    name, case = new_case()
    other, others_case = new_case()
    async with serve(api_streams_per_caller=2, api_streams=3) as served:
        await served.log.record(*case.events, *others_case.events)
        async with served.client(name) as client, served.client(other) as others:
            found: list[list[CaseEvent]] = [[], []]
            following = [asyncio.create_task(collect(client.events(case.case_id), each)) for each in found]
            await until(lambda: all(found))
            with pytest.raises(TooManyRequests) as refused:
                await asyncio.wait_for(collect(client.events(case.case_id), []), 10)
            assert refused.value.retry_after_s == event_stream.STREAMS_RETRY_S
            theirs: list[CaseEvent] = []
            third = asyncio.create_task(collect(others.events(others_case.case_id), theirs))
            await until(lambda: theirs)
            for task in (*following, third):
                task.cancel()
            await asyncio.gather(*following, third, return_exceptions=True)
            # A place is free again once its reader has gone.
            again: list[CaseEvent] = []
            async with asyncio.timeout(30):
                while not again:
                    retried = asyncio.create_task(collect(client.events(case.case_id), again))
                    await asyncio.wait([retried], timeout=0.3)
                    retried.cancel()
                    await asyncio.gather(retried, return_exceptions=True)


async def test_stream_ends_when_the_token_expires(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "HEARTBEAT_S", 0.1)
    name, case = new_case()
    async with serve() as served:
        await served.log.record(*case.events)
        now = served.api.streams.now()
        object.__setattr__(served.api.streams, "now", lambda: now + 3_600)
        async with httpx2.AsyncClient(base_url=served.url, headers={"Authorization": f"Bearer {token(name)}"}) as http:
            text = (await http.get(f"/v1/cases/{case.case_id}/events", timeout=20)).text
    assert "event: expired" in text
    assert "id: 1" in text


async def test_reader_who_does_not_read_loses_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "SEND_TIMEOUT_S", 0.1)
    made, released, sent = 0, [], []

    async def events() -> AsyncIterator[str]:
        nonlocal made
        while True:
            made += 1
            yield ": still here\n\n"

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) > 3:
            await asyncio.Event().wait()  # the network takes nothing more

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    response = EventStreamResponse(events(), lambda: released.append(True))
    await asyncio.wait_for(response({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send), 20)
    assert released == [True]
    assert made == 3, "nothing is made before it is sent"


async def test_thousand_streams_are_served_by_one_look_at_the_log(served: Served) -> None:
    people = [new_case() for _ in range(100)]
    await served.log.record(*(event for _, case in people for event in case.events))
    host, port = served.url.removeprefix("http://").split(":")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    streams = []
    for name, case in people:
        for _ in range(10):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"GET /v1/cases/{case.case_id}/events HTTP/1.1\r\nHost: x\r\n".encode())
            writer.write(f"Authorization: Bearer {token(name)}\r\n\r\n".encode())
            streams.append((reader, writer))
    for reader, _ in streams:
        await asyncio.wait_for(reader.readuntil(b"id: 1\n"), 60)
    assert served.api.streams.limits._open.total() == 1_000
    await served.log.record(*(event for _, case in people for event in case.answer()))
    for reader, _ in streams:
        await asyncio.wait_for(reader.readuntil(b"event: end"), 60)
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1_024
    assert grown_mb < 150, "a stream costs less than 150 kB, its reader in this test included"
    for _, writer in streams:
        writer.close()
        await writer.wait_closed()


async def test_wait_ends_at_its_time_limit_and_the_case_goes_on(served: Served) -> None:
    name, case = new_case()
    await served.log.record(*case.events)
    async with served.client(name, retries=5) as client:
        with pytest.raises(WaitTimeout, match="it goes on"):
            await client.wait(case.case_id, timeout_s=0.5)


async def test_wait_for_a_case_that_is_not_yet_in_the_log_waits_for_it(served: Served) -> None:
    name, case = new_case()
    async with served.client(name) as client:
        waiting = asyncio.create_task(client.wait(case.case_id, timeout_s=30))
        await asyncio.sleep(0.2)
        case.answer()
        await served.log.record(*case.events)
        assert (await waiting).outcome == "answered"


def test_content_of_an_event_forges_no_other_event() -> None:
    text = event_stream._event("transition", {"message": "x\n\nevent: end\ndata: {}\u2028\r"})
    assert text.count("\n") == 3
    assert json.loads(text.split("data: ", 1)[1]) == {"message": "x\n\nevent: end\ndata: {}\u2028\r"}


async def test_stream_goes_on_after_an_error_of_the_log_that_is_no_outage(
    serve: Serve, infrastructure: Infrastructure
) -> None:
    """The process keeps its loop, as `ServiceProcess.run_in_background` does."""
    name, case = new_case()
    owner = await asyncpg.connect(infrastructure.owner_url(DATABASE))
    async with serve() as served:
        await served.log.record(*case.events)
        found: list[CaseEvent] = []
        async with served.client(name, retries=10) as client:
            following = asyncio.create_task(collect(client.events(case.case_id), found))
            await until(lambda: len(found) == 1)
            await owner.execute("alter table audit.log_entry rename to log_entry_away")
            try:
                await until(lambda: served.watcher.problem)
            finally:
                await owner.execute("alter table audit.log_entry_away rename to log_entry")
            for event in case.answer():
                await served.log.record(event)
            await asyncio.wait_for(following, 30)
    await owner.close()
    assert [event.event_id for event in found] == [event["event_id"] for event in case.events]
