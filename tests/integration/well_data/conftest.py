"""Two tenants' wells in the work database, loaded as an operator does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date

import pytest

from services.specialists.well_data.loading.load import InputFile, LoadedFile, load_files
from services.specialists.well_data.store import WellStore
from switchyard.runtime.database.connections import Pool, connect_pool
from tests.integration.conftest import PoolFor
from tests.integration.infrastructure import Infrastructure, Owner

AS_OF = date(2026, 6, 30)
HEADERS = b"""API_NUMBER,WELL_NAME,BASIN,LEASE_ID
30-015-90001,Cutbow 1H,Permian,
33-053-90001,Badger 1H,Williston,
42-329-90001,Rattler 1H,Permian,08-1
"""
PRODUCTION = b"""API_NUMBER,PRODUCTION_MONTH,OIL_BBL
30-015-90001,2025-01,310
33-053-90001,2025-01,620
42-329-90001,2025-01,930
"""
Load = Callable[..., Awaitable[list[LoadedFile]]]


@pytest.fixture
async def operator(infrastructure: Infrastructure) -> AsyncIterator[Pool]:
    """The operator's own login."""
    pool = await connect_pool(infrastructure.role_url("operator"), schema="well_data")
    yield pool
    await pool.close()


@pytest.fixture
async def load(operator: Pool, owner: Owner) -> AsyncIterator[Load]:
    """Loads files of a tenant; all loaded data go with the test."""

    async def run(tenant: str = "northfork", as_of: date = AS_OF, **files: bytes) -> list[LoadedFile]:
        named = [InputFile(f"s3://wells/{tenant}/{name.replace('_las', '.las')}", data) for name, data in files.items()]
        return await load_files(operator, tenant, named, as_of=as_of)

    yield run
    for table in ("well", "well_month", "outage", "lease_month", "survey_station", "log_curve", "source_file"):
        await owner.execute(f"delete from well_data.{table}")


@pytest.fixture
async def store(pool_for: PoolFor) -> WellStore:
    """The agent's own login."""
    return WellStore(await pool_for("well_data"))
