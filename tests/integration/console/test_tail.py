"""The live tail: every entry once and in order, resumed where it stopped, and a gap is reported."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import asyncpg
import pytest

from switchyard.console.tail import _SQL, KEPT, Tail, TailEntry
from switchyard.runtime.core.periodic import run_periodically
from tests.integration.console.conftest import DATABASE, Console
from tests.integration.infrastructure import Infrastructure
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
Event = tuple[str, int | None, dict[str, object]]


@asynccontextmanager
async def following(tail: Tail) -> AsyncIterator[Tail]:
    """A tail whose loop runs, and has found what is in the log."""
    running = asyncio.create_task(tail.run())
    newest = await tail.database.with_queries(_SQL).value("newest")
    while tail.newest != newest:  # noqa: ASYNC110 - the tail's own loop reads
        await asyncio.sleep(0.01)
    try:
        yield tail
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def read(tail: Tail, after: int | None, *, most: int, within_s: float = 5.0) -> list[Event]:
    """The first events of a viewer, without the greeting."""
    found: list[Event] = []

    async def collect() -> None:
        async for text in tail.follow(after, user=str(uuid4()), ended=lambda: False):
            for block in filter(None, text.split("\n\n")):
                fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
                if "data" in fields and fields.get("event") != "hello":
                    known = int(fields["id"]) if "id" in fields else None
                    found.append((fields["event"], known, json.loads(fields["data"])))
            if len(found) >= most:
                return

    with suppress(TimeoutError):
        await asyncio.wait_for(collect(), within_s)
    return found


async def test_viewer_gets_each_new_entry_once_and_in_order(console: Console) -> None:
    async with following(console.views.tail) as tail:
        last = tail.newest
        assert last is not None
        waiting = asyncio.create_task(read(tail, None, most=9))
        await asyncio.sleep(0.1)
        await console.log.record(cases.bodies(cases.answered(801)))
        found = await waiting
    assert [(name, index) for name, index, _ in found] == [("entry", last + number) for number in range(1, 10)]
    assert "answered" in {data["outcome"] for _, _, data in found}


async def test_viewer_who_returns_gets_what_was_missed(console: Console) -> None:
    async with following(console.views.tail) as tail:
        assert tail.newest is not None
        found = await read(tail, tail.newest - 4, most=4)
        assert [index for _, index, _ in found] == [tail.newest - back for back in (3, 2, 1, 0)]


async def test_viewer_who_was_away_too_long_reads_how_many_were_missed(console: Console) -> None:
    tail = Tail(console.views.audit)
    tail.newest = KEPT + 500
    tail.entries.extend(TailEntry(index, {}, "{}") for index in range(1, KEPT + 501))
    lost, first, *_ = await read(tail, 100, most=2)
    assert (lost[0], lost[2]) == ("lost", {"missed": 400, "until": 500})
    assert first[1] == 501


async def test_cursor_of_another_log_begins_again(console: Console) -> None:
    async with following(console.views.tail) as tail:
        [lost] = await read(tail, 10**12, most=1)
    assert (lost[0], lost[2]["missed"]) == ("lost", None)


async def test_viewer_reads_that_the_log_is_away_and_that_it_is_back(
    console: Console, infrastructure: Infrastructure
) -> None:
    async with following(console.views.tail) as tail:
        waiting = asyncio.create_task(read(tail, None, most=2, within_s=30))
        await asyncio.sleep(0.1)
        await infrastructure.stop("postgres")
        while tail.problem is None:  # noqa: ASYNC110 - the tail's own loop finds it
            await asyncio.sleep(0.05)
        await infrastructure.start("postgres")
        found = await waiting
    assert [name for name, _, _ in found] == ["away", "back"]


async def test_viewer_reads_that_the_log_is_refused_and_reads_on_once_it_is_not(
    console: Console, infrastructure: Infrastructure
) -> None:
    """An error that is no outage: the process keeps its loop, as `ServiceProcess.run_in_background` does."""
    owner = await asyncpg.connect(infrastructure.owner_url(DATABASE))
    async with following(console.views.tail) as tail:
        before = tail.newest
    tail = console.views.tail
    running = asyncio.create_task(run_periodically("tail", tail.run, every_s=0.1))
    waiting = asyncio.create_task(read(tail, None, most=11, within_s=30))
    await owner.execute("alter table audit.log_entry rename to log_entry_away")
    try:
        while tail.problem is None:  # noqa: ASYNC110 - the tail's own loop finds it
            await asyncio.sleep(0.05)
    finally:
        await owner.execute("alter table audit.log_entry_away rename to log_entry")
    await console.log.record(cases.bodies(cases.answered(803)))
    found = await waiting
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await owner.close()
    assert before is not None
    assert sorted(name for name, _, _ in found) == ["away", "back", *["entry"] * 9]
    assert [index for name, index, _ in found if name == "entry"] == [before + number for number in range(1, 10)]


async def test_two_hundred_viewers_cost_one_reader(console: Console) -> None:
    async with following(console.views.tail) as tail:
        waiting = [asyncio.create_task(read(tail, None, most=9)) for _ in range(200)]
        await asyncio.sleep(0.2)
        assert tail.viewers.total() == 200
        await console.log.record(cases.bodies(cases.answered(802)))
        found = await asyncio.gather(*waiting)
    assert {len(each) for each in found} == {9}
    assert tail.viewers.total() == 0
