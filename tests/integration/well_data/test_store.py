"""A user sees the wells of the own tenant in the basins of the role, and nothing when the scope is not set."""

from __future__ import annotations

import asyncpg
import pytest

from services.specialists.well_data.field_data import FieldData
from services.specialists.well_data.store import DataRequest, WellScope, WellStore
from switchyard.runtime.database.connections import Pool
from switchyard.runtime.database.session_scope import SessionScope
from tests.integration.conftest import PoolFor
from tests.integration.well_data.conftest import HEADERS, PRODUCTION, Load

pytestmark = pytest.mark.integration
METERS = b"LEASE_ID,PRODUCTION_MONTH,OIL_BBL\n08-1,2025-01,900\n"
DOWNTIME = b"API_NUMBER,STARTED_AT,CAUSE\n33-053-90001,2025-01-03 00:00:00,weather\n"
SURVEY = b"API_NUMBER,MD_FT,INCLINATION,AZIMUTH\n30-015-90001,100,1,2\n33-053-90001,100,1,2\n"
LAS = b"""~V
VERS. 2.0:
WRAP. NO:
~W
UWI. 33-053-90001:
NULL. -999.25:
~C
DEPT.F:
GR.GAPI: Gamma
~A
1 2
2 -999.25
"""
EVERYTHING = DataRequest(
    frozenset({"months", "outages", "lease_months", "surveys", "curves"}), lambda wells: wells, curve="GR"
)


def scope(*basins: str, tenant: str = "northfork") -> WellScope:
    return WellScope(SessionScope(tenant, "user-1", "session-1"), basins)


def sizes(data: FieldData) -> tuple[int, ...]:
    kinds = (data.wells, data.months, data.outages, data.lease_months, data.surveys, data.curves)
    return tuple(len(kind) for kind in kinds)


async def load_all(load: Load) -> None:
    await load(
        wells=HEADERS, production=PRODUCTION, meters=METERS, downtime=DOWNTIME, survey=SURVEY, log_las=LAS
    )  # fmt: skip


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        (scope("*"), (3, 3, 1, 1, 2, 1)),
        (scope("Permian"), (2, 2, 0, 1, 1, 0)),
        (scope("Williston"), (1, 1, 1, 0, 1, 1)),
        (scope("Permian", "Williston"), (3, 3, 1, 1, 2, 1)),
        (scope("Delaware"), (0, 0, 0, 0, 0, 0)),
        (scope(), (0, 0, 0, 0, 0, 0)),
        (scope("*", tenant="other"), (0, 0, 0, 0, 0, 0)),
        (scope('Permian","Williston'), (0, 0, 0, 0, 0, 0)),
        (scope("*", tenant=""), (0, 0, 0, 0, 0, 0)),
    ],
)
async def test_rows_are_those_of_tenant_and_basins(
    load: Load, store: WellStore, who: WellScope, expected: tuple[int, ...]
) -> None:
    await load_all(load)
    assert sizes(await store.read(who, EVERYTHING)) == expected


async def test_two_tenants_with_the_same_well_see_their_own(load: Load, store: WellStore) -> None:
    await load_all(load)
    await load(tenant="other", wells=HEADERS.replace(b"Cutbow", b"Secret"))
    names = {well.name for well in (await store.read(scope("*", tenant="other"), EVERYTHING)).wells}
    assert names == {"Secret 1H", "Badger 1H", "Rattler 1H"}
    assert sizes(await store.read(scope("*", tenant="other"), EVERYTHING))[1:] == (0, 0, 0, 0, 0)


async def test_session_without_a_scope_sees_no_row(load: Load, store: WellStore, pool_for: PoolFor) -> None:
    await load_all(load)
    await store.read(scope("*"), EVERYTHING)
    pool = await pool_for("well_data")
    for table in ("source_file", "well", "well_month", "outage", "lease_month", "survey_station", "log_curve"):
        assert await pool.fetchval(f"select count(*) from {table}") == 0


@pytest.mark.parametrize("table", ["well", "well_month", "source_file", "log_curve"])
async def test_agent_cannot_change_loaded_rows(pool_for: PoolFor, table: str) -> None:
    pool: Pool = await pool_for("well_data")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute(f"delete from {table}")


async def test_rows_have_file_and_line_as_their_source(load: Load, store: WellStore) -> None:
    await load_all(load)
    data = await store.read(scope("Williston"), EVERYTHING)
    assert (data.months[0].source.file, data.months[0].source.line) == ("s3://wells/northfork/production", 3)
    assert data.as_of is not None
    assert data.curves[0].values == (2.0, None)


async def test_completions_of_a_well_are_read_as_one_month(load: Load, store: WellStore) -> None:
    two = b"API_NUMBER,PRODUCTION_MONTH,OIL_BBL\n30-015-90001-00-00,2025-01,100\n30-015-90001-01-00,2025-01,50\n"
    await load(wells=HEADERS, production=two)
    (month,) = (await store.read(scope("*"), EVERYTHING)).months
    assert month.oil == 150
    assert [month.source.line, *(also.line for also in month.source.also)] == [2, 3]
