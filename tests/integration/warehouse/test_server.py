from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydantic import SecretStr

from services.specialists.text_to_sql.guard import guard_query
from services.specialists.text_to_sql.schema import load_schema
from services.specialists.text_to_sql.warehouse import QueryLimits, SnowflakeWarehouse, WarehouseEndpoint
from switchyard.runtime.core.errors import PermanentTaskError, RetryableTaskError

SCHEMA = load_schema()


@pytest.fixture(scope="module")
def warehouse() -> Iterator[SnowflakeWarehouse]:
    """The real connector, against the simulator in a process of its own."""
    command = [sys.executable, "-m", "demo.oil_field", "serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        address = WarehouseEndpoint("local", "OILFIELD", "PROD", host="127.0.0.1", port=port, protocol="http")
        yield SnowflakeWarehouse(address, SecretStr("a-token"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


async def test_connector_gets_the_rows_of_its_role(warehouse: SnowflakeWarehouse) -> None:
    query = guard_query("SELECT basin, COUNT(*) AS wells, MAX(spud_date) AS latest FROM wells GROUP BY basin", SCHEMA)
    for role, basin, count in (("FIELD_PERMIAN", "Permian", 114), ("FIELD_WILLISTON", "Williston", 40)):
        found = await warehouse.run(query, case_id="case-1", role=role, limits=QueryLimits())
        assert [row[:2] for row in found.rows] == [(basin, count)]
        assert [column.type for column in found.columns] == ["text", "number", "date"]


async def test_connector_gets_role_not_granted_for_a_missing_grant(warehouse: SnowflakeWarehouse) -> None:
    with pytest.raises(PermanentTaskError) as caught:
        await warehouse.run(
            guard_query("SELECT state FROM wells", SCHEMA), case_id="case-1", role="UNKNOWN", limits=QueryLimits()
        )
    assert caught.value.code == "role_not_granted"


async def test_connector_gets_query_timeout_for_a_cancelled_statement(warehouse: SnowflakeWarehouse) -> None:
    endless = replace(
        guard_query("SELECT COUNT(*) AS n FROM monthly_production", SCHEMA),
        sql="SELECT COUNT(*) AS n FROM monthly_production a, monthly_production b, monthly_production c "
        "WHERE a.oil_bbl < c.gas_mcf",
    )
    with pytest.raises(PermanentTaskError) as caught:
        await warehouse.run(endless, case_id="case-1", role="FIELD_ALL", limits=QueryLimits(timeout_s=1))
    assert caught.value.code == "query_timeout"


async def test_unreachable_warehouse_is_a_retryable_error() -> None:
    # Port 9 of the loopback (discard) has no listener on any sane machine: refused at once.
    gone = SnowflakeWarehouse(
        WarehouseEndpoint("local", "OILFIELD", "PROD", host="127.0.0.1", port=9, protocol="http"), SecretStr("a-token")
    )
    with pytest.raises(RetryableTaskError) as caught:
        await gone.run(
            guard_query("SELECT state FROM wells", SCHEMA), case_id="c", role="FIELD_ALL", limits=QueryLimits()
        )
    assert caught.value.code == "warehouse_unreachable"
