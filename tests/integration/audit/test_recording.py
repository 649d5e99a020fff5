"""Events arrive in any order, any number of times, in any company, and each is one row."""

from __future__ import annotations

import asyncio
import random
from typing import Any, TypeAlias

import asyncpg
import pytest
import structlog

from switchyard.audit.records.store import AuditStore, BatchResult
from switchyard.audit.verification.audit_reader import AuditReader
from tests.integration.audit.conftest import Counts
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
Owner: TypeAlias = "asyncpg.Connection[Any]"


@pytest.mark.parametrize("seed", range(4))
async def test_duplicates_in_any_order_and_any_batches_become_one_row_each(
    store: AuditStore, reader: AuditReader, seed: int, counts: Counts
) -> None:
    dice = random.Random(seed)
    texts = [text for number in range(4) for text in cases.bodies(cases.answered(number))] * 3
    dice.shuffle(texts)
    size = dice.choice([1, 7, 50, 200])

    results = [await store.record(texts[start : start + size]) for start in range(0, len(texts), size)]

    assert sum(result.inserted for result in results) == 36
    assert sum(result.duplicates for result in results) == 72
    counted = await counts()
    assert (counted.transitions, counted.events, counted.cases) == (36, 36, 4)
    assert (counted.outcomes, counted.alarms, counted.unplanned) == ({"answered": 4}, {}, 0)
    assert (await reader.verify()).ok


async def test_concurrent_workers_write_the_same_batch_once(store: AuditStore, counts: Counts) -> None:
    texts = [text for number in range(5) for text in cases.bodies(cases.answered(number))]
    backwards = texts[::-1]

    results = await asyncio.gather(*(store.record(batch) for batch in (texts, backwards, texts, backwards)))

    assert sum(result.inserted for result in results) == len(texts)
    assert (await counts()).transitions == len(texts)


async def test_body_is_stored_verbatim_and_columns_match_it(store: AuditStore, owner: Owner) -> None:
    text = cases.body(cases.answered()[6])

    await store.record([text])

    row = await owner.fetchrow("select * from transition")
    assert row is not None
    assert row["body"] == text
    assert (row["node_from"], row["node_to"], row["transition"]) == ("drafter", "router", "AnswerDrafted")
    assert (row["model_id"], row["latency_ms"], row["rubric_score"]) == ("claude-test", 812, 8_750)
    assert row["recorded_at"] > row["event_ts"]


async def test_known_id_with_other_content_is_an_integrity_alarm(
    store: AuditStore, reader: AuditReader, owner: Owner
) -> None:
    genuine = cases.first()
    forged = cases.rewritten(genuine, session_id="s-2")
    await store.record([cases.body(genuine)])

    result = await store.record([cases.body(forged)])

    assert result == BatchResult(inserted=0, duplicates=1, alarms=1)
    (alarm,) = await reader.alarms()
    assert (alarm.kind, alarm.event_id, alarm.case_id) == (
        "duplicate_differs",
        genuine["event_id"],
        genuine["case_id"],
    )
    assert alarm.body == cases.body(forged)
    assert await owner.fetchval("select transcript_hash from transition") == genuine["digest"]


async def test_two_contents_of_one_id_in_a_batch_raise_one_alarm(store: AuditStore, counts: Counts) -> None:
    genuine = cases.first()
    forged = cases.rewritten(genuine, session_id="s-2")

    result = await store.record([cases.body(genuine), cases.body(forged), cases.body(genuine)])

    assert (result.inserted, result.alarms) == (1, 1)
    assert (await counts()).alarms == {"duplicate_differs": 1}


async def test_poison_in_a_batch_is_kept_as_alarms_and_stops_no_row(
    store: AuditStore, reader: AuditReader, counts: Counts
) -> None:
    events = cases.answered()
    poison = [
        "not json",
        '{"a": "\x00\ud800"}',
        cases.body(cases.first(1) | {"seq": 3}),
        cases.body(cases.first(2), source="switchyard.drafter"),
        cases.body(cases.rewritten(cases.first(3), opened_on="2026-02-31")),
    ]
    batch = [text for pair in zip(cases.bodies(events), [*poison, *poison], strict=False) for text in pair]

    result = await store.record(batch)

    assert (result.inserted, result.refused) == (9, ())
    counted = await counts()
    assert counted.transitions == 9
    assert counted.alarms == {"digest_mismatch": 1, "forged_source": 1, "malformed": 3}
    assert {alarm.body for alarm in await reader.alarms()} == {*poison[2:], "not json", '{"a": "\\x00\\ud800"}'}


async def test_alarm_delivered_repeatedly_is_logged_once(store: AuditStore) -> None:
    altered = cases.first() | {"seq": 3}

    with structlog.testing.capture_logs() as logged:
        first = await store.record([cases.body(altered)])
        again = await store.record([cases.body(altered), cases.body(altered)])

    assert (first.alarms, again.alarms) == (1, 0)
    (line,) = [entry for entry in logged if entry["event"] == "integrity.alarm"]
    assert (line["alarm"], line["kind"], line["field"]) == ("integrity", "digest_mismatch", "digest")
    assert line["case_id"] == altered["case_id"]


async def test_unknown_type_is_recorded_with_an_alarm(store: AuditStore, counts: Counts) -> None:
    events = cases.answered()[:2]
    unknown = cases.renamed(events[1], events[0], type="QuestionPondered")

    result = await store.record(cases.bodies([events[0], unknown]))

    assert (result.inserted, result.alarms) == (2, 1)
    assert (await counts()).alarms == {"unknown_type": 1}


async def test_row_refused_by_the_database_does_not_stop_others(
    store: AuditStore, reader: AuditReader, owner: Owner, counts: Counts
) -> None:
    await owner.execute("alter table transition add constraint no_poison check (tenant <> 'poison')")
    texts = [cases.body(cases.first(0)), cases.body(cases.first(1, tenant="poison")), cases.body(cases.first(2))]

    result = await store.record(texts)

    assert (result.inserted, result.duplicates, result.refused, result.alarms) == (2, 0, (1,), 1)
    assert (await counts()).transitions == 2
    (alarm,) = await reader.alarms()
    assert (alarm.kind, alarm.body) == ("unstorable", texts[1])
    assert "CheckViolationError, SQLSTATE 23514" in alarm.reason


def _poisoned(number: int) -> dict[str, tuple[str, str, bool]]:
    """What poisons a batch: a body, the alarm that it raises, and whether it is in the log all the same."""
    event = cases.first(number)
    return {
        "bad JSON": ('{"source": ', "malformed", False),
        "NUL": (cases.body(event).replace('"s-1"', '"s-\\u0000"'), "malformed", False),
        "an over-long field": (cases.body(cases.rewritten(event, session_id="s" * 201)), "malformed", False),
        "an invalid day": (cases.body(cases.rewritten(event, opened_on="2026-02-30")), "malformed", False),
        "altered": (cases.body(event | {"seq": 7}), "digest_mismatch", False),
        "another source": (cases.body(event, source="switchyard.drafter"), "forged_source", False),
        "of an unknown type": (
            cases.body(cases.rewritten(event, type="QuestionPondered")),
            "unknown_type",
            True,
        ),
        "a known id with another content": (
            cases.body(cases.rewritten(cases.first(0), tenant="zeta")),
            "duplicate_differs",
            False,
        ),
    }


async def test_poison_row_is_set_aside_and_other_nine_recorded(store: AuditStore, reader: AuditReader) -> None:
    await store.record([cases.body(cases.first(0))])
    for batch, (what, (poison, kind, logged)) in enumerate(_poisoned(999).items()):
        texts = cases.bodies([cases.first(10 + 10 * batch + number) for number in range(9)])
        texts.insert(4, poison)

        result = await store.record(texts)

        assert (result.inserted, result.refused, result.alarms) == (9 + logged, (), 1), what
        kept = (await reader.alarms(limit=1))[0]
        assert (kept.kind, kept.body) == (kind, poison), what
        assert kept.reason, what


async def test_row_without_partition_is_set_aside_and_rest_recorded(store: AuditStore, counts: Counts) -> None:
    texts = cases.bodies([cases.first(number) for number in range(9)])
    far = cases.body(cases.first(9, opened=cases.OPENED.replace(year=2099)))

    with structlog.testing.capture_logs() as logged:
        result = await store.record([*texts[:4], far, *texts[4:]])

    assert (result.inserted, (await counts()).unplanned) == (10, 1)
    assert [line["alarm"] for line in logged if "alarm" in line] == ["partition"]
