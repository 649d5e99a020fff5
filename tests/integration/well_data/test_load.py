"""A load may be repeated, restated and interrupted; what it refuses is reported."""

from __future__ import annotations

import asyncio
from datetime import date

import pytest

from services.specialists.well_data.store import WellStore
from tests.integration.infrastructure import Owner
from tests.integration.well_data.conftest import HEADERS, PRODUCTION, Load
from tests.integration.well_data.test_store import EVERYTHING, scope

pytestmark = pytest.mark.integration


async def months(owner: Owner) -> list[tuple[str, float]]:
    rows = await owner.fetch("select api, oil_bbl from well_data.well_month where tenant = 'northfork' order by api")
    return [(row["api"], row["oil_bbl"]) for row in rows]


async def test_same_files_again_change_nothing(load: Load, owner: Owner) -> None:
    first = await load(wells=HEADERS, production=PRODUCTION)
    before = await months(owner)
    again = await load(wells=HEADERS, production=PRODUCTION)
    assert [each.unchanged for each in first + again] == [False, False, True, True]
    assert await months(owner) == before
    assert await owner.fetchval("select count(*) from well_data.source_file") == 2


async def test_restated_file_replaces_its_rows_and_drops_those_it_no_longer_has(load: Load, owner: Owner) -> None:
    await load(wells=HEADERS, production=PRODUCTION)
    restated = PRODUCTION.replace(b"930", b"1000").replace(b"33-053-90001,2025-01,620\n", b"")
    await load(production=restated)
    assert await months(owner) == [("30-015-90001", 310.0), ("42-329-90001", 1000.0)]


async def test_later_day_of_completeness_is_kept(load: Load, store: WellStore) -> None:
    await load(wells=HEADERS, production=PRODUCTION)
    await load(as_of=date(2026, 7, 31), wells=HEADERS, production=PRODUCTION)
    assert (await store.read(scope("*"), EVERYTHING)).as_of == date(2026, 7, 31)


async def test_rows_of_unknown_wells_and_leases_are_refused_with_their_line(load: Load) -> None:
    production = PRODUCTION + b"30-015-99999,2025-01,5\n"
    meters = b"LEASE_ID,PRODUCTION_MONTH,OIL_BBL\n08-9,2025-01,900\n"
    reports = {each.uri.rpartition("/")[2]: each for each in await load(w=HEADERS, p=production, m=meters)}
    assert [(each.line, each.field) for each in reports["p"].refused] == [(5, "API_NUMBER")]
    assert [(each.line, each.field) for each in reports["m"].refused] == [(2, "LEASE_ID")]
    assert "load the file of wells first" in reports["p"].refused[0].reason
    assert (reports["p"].accepted, reports["m"].accepted) == (3, 0)


async def test_refused_rows_are_loaded_once_their_header_is_there(load: Load, owner: Owner) -> None:
    (alone,) = await load(p=PRODUCTION)
    assert (alone.accepted, len(alone.refused)) == (0, 3)
    await load(w=HEADERS, p=PRODUCTION)
    assert len(await months(owner)) == 3


async def test_unusable_file_does_not_stop_the_others(load: Load, owner: Owner) -> None:
    reports = await load(bad=b"nonsense\n1", bad_las=b"no log", w=HEADERS, p=PRODUCTION)
    problems = {each.uri.rpartition("/")[2]: each.problem for each in reports}
    assert "no known kind of file" in (problems["bad"] or "")
    assert "no LAS file" in (problems["bad.las"] or "")
    assert len(await months(owner)) == 3


async def test_two_loads_at_once_end_as_one(load: Load, owner: Owner) -> None:
    await asyncio.gather(*(load(w=HEADERS, p=PRODUCTION) for _ in range(4)))
    assert len(await months(owner)) == 3
    assert await owner.fetchval("select count(*) from well_data.source_file") == 2
