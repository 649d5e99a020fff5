"""What a process puts off until it is ready, or until it is needed."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from switchyard.runtime.core.collector import pause_collector, resume_collector
from switchyard.runtime.core.loop import run_event_loop
from switchyard.runtime.process.late_imports import import_later
from switchyard.runtime.storage.objects import ObjectsOnDemand


@pytest.fixture
def collector() -> Iterator[None]:
    """The collector as it was."""
    threshold = gc.get_threshold()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()
    gc.enable()


@pytest.mark.usefixtures("collector")
def test_collector_after_a_start_collects_again_and_skips_what_the_start_left() -> None:
    pause_collector()
    assert not gc.isenabled()
    resume_collector()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 1_000


def test_collector_that_was_not_paused_is_left_as_it_is() -> None:
    before = gc.get_threshold(), gc.get_freeze_count()
    resume_collector()
    assert (gc.get_threshold(), gc.get_freeze_count()) == before


@pytest.mark.usefixtures("collector")
def test_collector_after_a_failed_start_is_enabled() -> None:
    async def fail() -> None:
        assert not gc.isenabled()
        raise LookupError

    with pytest.raises(LookupError):
        run_event_loop(fail)
    assert gc.isenabled()


class Store:
    """Remembers what was put."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def put(self, key: str, data: bytes, *, content_type: str) -> str:
        self.kept[key] = data
        return key

    async def get(self, uri: str) -> bytes:
        return self.kept[uri]


async def test_objects_on_demand_used_at_once_from_two_tasks_are_opened_once() -> None:
    opened: list[Store] = []

    async def open_store() -> Store:
        await asyncio.sleep(0)
        opened.append(Store())
        return opened[-1]

    objects = ObjectsOnDemand(open_store)
    assert opened == []
    await asyncio.gather(*(objects.put(key, b"bytes", content_type="text/plain") for key in "ab"))
    assert len(opened) == 1
    assert await objects.get("a") == b"bytes"


async def test_objects_on_demand_whose_opening_failed_are_opened_at_the_next_use() -> None:
    failures = [ConnectionError()]

    async def open_store() -> Store:
        if failures:
            raise failures.pop()
        return Store()

    objects = ObjectsOnDemand(open_store)
    with pytest.raises(ConnectionError):
        await objects.get("a")
    assert await objects.put("a", b"1", content_type="text/plain") == "a"


async def test_late_import_is_made_and_goes_on_until_it_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imported_late.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    importing = asyncio.create_task(import_later("imported_late", delay_s=0))
    async with asyncio.timeout(10):
        while "imported_late" not in sys.modules:  # noqa: ASYNC110 - an import says nothing when it is over
            await asyncio.sleep(0.01)
    assert not importing.done()
    importing.cancel()
    del sys.modules["imported_late"]
