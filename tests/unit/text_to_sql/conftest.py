from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from demo.oil_field.warehouse import open_warehouse
from services.specialists.text_to_sql.guard_process import GuardProcess
from services.specialists.text_to_sql.schema import Schema, load_schema

if TYPE_CHECKING:
    from switchyard.devstack.simulators.snowflake.simulator import SnowflakeSimulator


@pytest.fixture(scope="session")
def schema() -> Schema:
    return load_schema()


@pytest.fixture(scope="session")
def guard(schema: Schema) -> Iterator[GuardProcess]:
    made = GuardProcess(schema)
    yield made
    asyncio.run(made.close())


@pytest.fixture(scope="session")
def snowflake_simulator() -> Iterator[SnowflakeSimulator]:
    made = open_warehouse()
    yield made
    made.close()
