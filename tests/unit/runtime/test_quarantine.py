"""Quarantine is bounded: a flood of rejected messages leaves samples and a count."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contracts.catalogue import CATALOGUE
from switchyard.protocol.errors import forged, malformed
from switchyard.runtime.messaging.quarantine import KEPT_AN_HOUR, MAX_GROUPS, ObjectQuarantine
from tests.integration.manual_clock import ManualClock


class Objects:
    """A bucket in memory."""

    def __init__(self) -> None:
        self.keys: set[str] = set()

    async def put(self, key: str, data: bytes, *, content_type: str) -> str:
        """Keep the key."""
        self.keys.add(key)
        return f"s3://bucket/{key}"


def body(number: int, source: str = "upstream.noisy") -> str:
    return json.dumps({"source": source, "detail-type": "SuppressionRequested", "detail": {"number": number}})


@pytest.fixture
def objects() -> Objects:
    return Objects()


def quarantine(objects: Objects, clock: ManualClock) -> ObjectQuarantine:
    bucket: Any = objects
    return ObjectQuarantine(bucket, CATALOGUE, node="case_manager", clock=clock)


async def test_quarantine_of_a_flood_stores_samples_and_repeats_the_alarm(
    objects: Objects, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = ManualClock()
    kept = quarantine(objects, clock)
    for number in range(1_000):
        await kept.keep(body(number), malformed("bad", "detail"))
    assert len(objects.keys) == KEPT_AN_HOUR
    alarms = capsys.readouterr().out.count("message.quarantined")
    assert KEPT_AN_HOUR < alarms < KEPT_AN_HOUR + 10
    clock.advance(3_600)
    await kept.keep(body(1_000), malformed("bad", "detail"))
    assert len(objects.keys) == KEPT_AN_HOUR + 1


async def test_quarantine_of_one_source_hides_no_other_source_and_no_forgery(objects: Objects) -> None:
    kept = quarantine(objects, ManualClock())
    for number in range(KEPT_AN_HOUR + 50):
        await kept.keep(body(number), malformed("bad", "detail"))
    await kept.keep(body(1, "upstream.quiet"), malformed("bad", "detail"))
    await kept.keep(body(2_000), forged("a lie", "source"))
    assert len(objects.keys) == KEPT_AN_HOUR + 2


async def test_quarantine_of_invented_sources_is_bounded(objects: Objects) -> None:
    kept = quarantine(objects, ManualClock())
    for number in range(2_000):
        await kept.keep(body(number, f"upstream.invented-{number}"), malformed("bad", "detail"))
    assert len(objects.keys) <= MAX_GROUPS + KEPT_AN_HOUR
