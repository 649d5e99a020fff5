from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from snowflake.connector.errors import DatabaseError, ProgrammingError

from demo.oil_field.warehouse import BASINS_BY_ROLE, OIL_FIELD_FOLDER, open_warehouse, read_table
from switchyard.devstack.simulators.snowflake.load import WarehouseDataInvalid
from switchyard.devstack.simulators.snowflake.simulator import SnowflakeSimulator

pytestmark = pytest.mark.filterwarnings("ignore:Arrow output on a DB-API result:UserWarning")


@pytest.fixture(scope="module")
def snowflake_simulator() -> Iterator[SnowflakeSimulator]:
    made = open_warehouse()
    yield made
    made.close()


def read(snowflake_simulator: SnowflakeSimulator, sql: str, role: str = "FIELD_ALL") -> list[Any]:
    with snowflake_simulator.connect(role=role) as connection:
        return list(connection.cursor().execute(sql).fetchall())


@pytest.mark.parametrize("role", BASINS_BY_ROLE)
def test_role_sees_all_of_its_own_rows_only(role: str, snowflake_simulator: SnowflakeSimulator) -> None:
    def own(table: str, column: str) -> list[dict[str, str]]:
        basins = BASINS_BY_ROLE[role]
        return [row for row in read_table(table) if not basins or row[column] in basins]

    mine = {row["API_NUMBER"] for row in own("WELLS", "BASIN")}
    assert {api for (api,) in read(snowflake_simulator, "SELECT api_number FROM wells", role)} == mine
    for table in ("monthly_production", "downtime", "work_orders"):
        seen = {api for (api,) in read(snowflake_simulator, f"SELECT DISTINCT api_number FROM {table}", role)}
        assert seen <= mine
    expected = [row for row in read_table("MONTHLY_PRODUCTION") if row["API_NUMBER"] in mine]
    assert read(snowflake_simulator, "SELECT COUNT(*) AS n FROM monthly_production", role) == [(len(expected),)]
    people = {row["TECHNICIAN_ID"] for row in own("TECHNICIANS", "REGION")}
    assert {key for (key,) in read(snowflake_simulator, "SELECT technician_id FROM technicians", role)} == people


def test_full_table_name_returns_the_same_rows(snowflake_simulator: SnowflakeSimulator) -> None:
    for name in ("wells", "prod.wells", "oilfield.prod.wells", '"OILFIELD"."PROD"."WELLS"'):
        assert read(snowflake_simulator, f"SELECT COUNT(*) AS n FROM {name}", "FIELD_WILLISTON") == [(40,)]


@pytest.mark.parametrize(
    ("sql", "number"),
    [
        ("SELECT * FROM oilfield.seen_by_field_all.wells", 2003),
        ("SELECT * FROM seen_by_field_all.wells", 2003),
        ("SELECT * FROM information_schema.schemata", 2003),
        ("SELECT * FROM duckdb_tables()", 2003),
        ("SELECT * FROM read_csv('/etc/passwd')", 2003),
        ("SELECT * FROM '/etc/passwd'", 2003),
        ("SELECT * FROM wells w JOIN oilfield.seen_by_field_all.wells x ON TRUE", 2003),
        ("WITH t AS (SELECT * FROM seen_by_field_all.wells) SELECT * FROM t", 2003),
        ("DROP TABLE wells", 3001),
        ("DELETE FROM wells", 3001),
        ("USE SCHEMA seen_by_field_all", 3001),
        ("SELECT 1; SELECT 2", 3001),
        ("COPY INTO @s FROM wells", 3001),
        ("SELECT * FROM salaries", 2003),
        ("SELECT salary FROM wells", 2043),
        ("SELECT FROM WHERE", 1003),
    ],
)
def test_role_cannot_bypass_its_views(sql: str, number: int, snowflake_simulator: SnowflakeSimulator) -> None:
    with pytest.raises(ProgrammingError) as caught:
        read(snowflake_simulator, sql, "FIELD_PERMIAN")
    assert caught.value.errno == number


@pytest.mark.parametrize("role", ["ACCOUNTADMIN", "", None])
def test_unknown_role_cannot_log_in(role: str | None, snowflake_simulator: SnowflakeSimulator) -> None:
    with pytest.raises(DatabaseError) as caught:
        snowflake_simulator.connect(role=role)
    assert caught.value.errno == 390189


def test_duckdb_cannot_read_files_after_loading(snowflake_simulator: SnowflakeSimulator) -> None:
    (setting,) = (
        snowflake_simulator._fake.duck_conn.execute("SELECT current_setting('enable_external_access')").fetchone() or ()
    )
    assert setting is False


def test_long_statement_is_cancelled(snowflake_simulator: SnowflakeSimulator) -> None:
    endless = "SELECT COUNT(*) FROM downtime a, downtime b, downtime c, downtime d WHERE a.hours + b.hours < c.hours"
    with (
        snowflake_simulator.connect(
            role="FIELD_ALL", session_parameters={"STATEMENT_TIMEOUT_IN_SECONDS": 0.2}
        ) as connection,
        pytest.raises(ProgrammingError) as caught,
    ):
        connection.cursor().execute(endless)
    assert caught.value.errno == 630


def test_connections_in_threads_keep_their_roles_apart(snowflake_simulator: SnowflakeSimulator) -> None:
    seen: dict[str, set[str]] = {}
    start = threading.Barrier(4)

    def look(role: str) -> None:
        start.wait()
        seen[role] = {
            basin for _ in range(5) for (basin,) in read(snowflake_simulator, "SELECT DISTINCT basin FROM wells", role)
        }

    threads = [threading.Thread(target=look, args=(role,)) for role in list(BASINS_BY_ROLE)[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {role: set(BASINS_BY_ROLE[role]) for role in list(BASINS_BY_ROLE)[1:]}


def test_folder_of_files_can_be_served(tmp_path: Path) -> None:
    wells = copytree(OIL_FIELD_FOLDER, tmp_path / "data") / "wells.csv.gz"
    wells.write_bytes(gzip.compress(b"".join(gzip.decompress(wells.read_bytes()).splitlines(keepends=True)[:11])))
    served = open_warehouse(wells.parent)
    assert read(served, "SELECT COUNT(*) FROM wells") == [(10,)]
    served.close()


def test_missing_data_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    folder = copytree(OIL_FIELD_FOLDER, tmp_path / "data")
    (folder / "wells.csv.gz").unlink()
    with pytest.raises(WarehouseDataInvalid, match=r"wells\.csv is missing: put a CSV file there"):
        open_warehouse(folder)
