"""A warehouse of another trade: CSV files become a schema file, which guard, prompt, simulator and import all read."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from typer.testing import CliRunner

from services.specialists.text_to_sql.agent import build_sql_agent, query_answer
from services.specialists.text_to_sql.guard_process import GuardProcess
from services.specialists.text_to_sql.schema import load_schema
from services.specialists.text_to_sql.warehouse import SnowflakeWarehouse, WarehouseEndpoint
from switchyard.cli.app.errors import CommandFailed, InvalidArgument
from switchyard.cli.app.main import app
from tests.integration.warehouse.test_server import Exchange
from tests.user_tokens import AUDIENCE, user_token

BRANCHES = "branch_id,city,opened\n007,Lyon,2019-04-01\n008,Nantes,2021-09-15\n"
LOANS = (
    "Loan_Id,branch_id,item,fee,lent_at,returned\n"
    "1,007,ladder,12.50,2026-05-02 09:00:00,true\n"
    "2,008,drill,8.00,2026-05-03 10:30:00,false\n"
    "3,007,ladder,12.5,2026-05-04 11:00:00,true\n"
)
DOMAIN_WORDS = ("oil", "gas", "well", "basin", "api_number", "technician", "bbl")


def switchyard(*arguments: str) -> tuple[int, str, BaseException | None]:
    shown = CliRunner().invoke(app, [*arguments])
    return shown.exit_code, shown.output, shown.exception


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("hire")
    (made / "branches.csv").write_text(BRANCHES, encoding="utf-8")
    (made / "LOANS.csv").write_text(LOANS, encoding="utf-8")
    exit_code, output, _ = switchyard("schema", "import", str(made), "--database", "hire", "--schema", "main")
    assert exit_code == 0, output
    file = made / "schema.toml"
    text = file.read_text(encoding="utf-8").replace('"the company\'s staff"', '"a tool hire company\'s staff"')
    file.write_text(text.replace("conventions = []", 'conventions = ["Fees are in euros."]'), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def exchange() -> Iterator[Exchange]:
    with Exchange() as made:
        yield made


@pytest.fixture(scope="module")
def endpoint(exchange: Exchange, folder: Path) -> Iterator[WarehouseEndpoint]:
    command = [sys.executable, "-m", "demo.oil_field", "serve", "--issuer", exchange.issuer, "--audience", AUDIENCE]
    command += ["--folder", str(folder), "--role", "CLERK"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        yield WarehouseEndpoint("local", "HIRE", "MAIN", host="127.0.0.1", port=port, protocol="http")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def test_import_of_csv_files_finds_types_values_and_joins(folder: Path) -> None:
    schema = load_schema(folder / "schema.toml")
    loans, branches = schema.tables["LOANS"].columns, schema.tables["BRANCHES"].columns
    assert branches["BRANCH_ID"].type == "VARCHAR(3)"
    assert {name: column.type for name, column in loans.items()} == {
        "LOAN_ID": "NUMBER(3,0)",
        "BRANCH_ID": "VARCHAR(3)",
        "ITEM": "VARCHAR(6)",
        "FEE": "NUMBER(6,2)",
        "LENT_AT": "TIMESTAMP_NTZ",
        "RETURNED": "BOOLEAN",
    }
    assert schema.joins == ("LOANS.BRANCH_ID = BRANCHES.BRANCH_ID",)


async def test_question_about_own_data_is_answered_without_a_word_of_the_demo(
    exchange: Exchange, endpoint: WarehouseEndpoint, folder: Path
) -> None:
    schema = load_schema(folder / "schema.toml")
    sql = "SELECT b.city, SUM(l.fee) AS fees FROM loans l JOIN branches b ON l.branch_id = b.branch_id GROUP BY b.city"
    seen: list[str] = []

    def model(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        tools = " ".join(f"{tool.name} {tool.description}" for tool in (*info.function_tools, *info.output_tools))
        seen.append(f"{info.instructions} {tools}")
        return ModelResponse(parts=[ToolCallPart("final_result_SqlAnswer", {"sql": sql, "explanation": "Fees."})])

    guard = GuardProcess(schema)
    try:
        found = await query_answer(
            "Fees by city?",
            agent=build_sql_agent(FunctionModel(model), schema),
            check=guard.check,
            warehouse=SnowflakeWarehouse(endpoint, user_token(exchange.sign("CLERK"))),
            schema=schema,
            case_id="case-1",
            role="CLERK",
        )
    finally:
        await guard.close()
    assert sorted((city, float(str(fees))) for city, fees in found.rows) == [("Lyon", 25.0), ("Nantes", 8.0)]
    assert "a tool hire company's staff" in seen[0]
    assert "LOANS.BRANCH_ID = BRANCHES.BRANCH_ID" in seen[0]
    assert "Fees are in euros." in seen[0]
    words = set(seen[0].lower().replace(".", " ").replace("_", " ").split())
    assert not words & set(DOMAIN_WORDS)


async def test_import_from_information_schema_describes_the_same_tables(
    exchange: Exchange, endpoint: WarehouseEndpoint, folder: Path, tmp_path: Path
) -> None:
    # The connector reads the file where SNOWFLAKE_HOME says when it is imported: so in a process of its own.
    connection = {
        "account": "local", "user": "ana", "authenticator": "oauth", "token": exchange.sign("CLERK"), "role": "CLERK",
        "host": endpoint.host, "port": endpoint.port, "protocol": "http",
    }  # fmt: skip
    lines = ["[hire]", *(f"{name} = {json.dumps(value)}" for name, value in connection.items())]
    file = tmp_path / "connections.toml"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    file.chmod(0o600)
    out = tmp_path / "imported.toml"
    command = ["schema", "import", "--connection", "hire", "--database", "HIRE", "--schema", "MAIN", "--out", str(out)]
    ran = await run_cli(command, SNOWFLAKE_HOME=str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    imported, given = load_schema(out), load_schema(folder / "schema.toml")
    assert {
        name: {key: each.type for key, each in table.columns.items()} for name, table in imported.tables.items()
    } == {name: {key: each.type for key, each in table.columns.items()} for name, table in given.tables.items()}
    assert imported.joins == ("LOANS.BRANCH_ID = BRANCHES.BRANCH_ID",)
    refused = await run_cli(
        [*command[:-1], str(tmp_path / "no.toml"), "--schema", "OTHER"], SNOWFLAKE_HOME=str(tmp_path)
    )
    assert (refused.returncode, "sees no table in HIRE.OTHER" in refused.stderr) == (1, True), refused.stderr


async def run_cli(arguments: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.argv[1:] = {arguments!r}; from switchyard.cli.app.main import run_cli; run_cli()"
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME") if name in os.environ}
    ran: subprocess.CompletedProcess[str] = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120, env=kept | environment,
    )  # fmt: skip
    assert "Traceback" not in ran.stderr
    return ran


def test_check_lists_what_is_left_to_fill_in(folder: Path) -> None:
    exit_code, output, _ = switchyard("schema", "check", str(folder))
    assert exit_code == 0
    assert "tables.LOANS.columns.FEE.comment: say what it means" in output
    assert "2 tables, 9 columns, 1 join" in output
    listed = json.loads(switchyard("schema", "check", str(folder), "--json")[1])
    assert listed["tables"]["BRANCHES"] == ["BRANCH_ID", "CITY", "OPENED"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (('type = "NUMBER(6,2)"', 'type = "VARIANT"'), "tables.LOANS.columns.FEE.type"),
        (("LOANS.BRANCH_ID = BRANCHES.BRANCH_ID", "LOANS.BRANCH_ID = BRANCHES.NAME"), "BRANCHES.NAME is not a column"),
        (("LOANS.BRANCH_ID = BRANCHES.BRANCH_ID", "loans on branch"), "TABLE.COLUMN = TABLE.COLUMN"),
        (("[tables.LOANS]", "[tables.loans]"), "tables.loans"),
        (('database = "HIRE"', 'database = "HIRE; DROP"'), "database"),
    ],
)
def test_check_of_an_invalid_file_names_the_field(
    change: tuple[str, str], named: str, folder: Path, tmp_path: Path
) -> None:
    text = (folder / "schema.toml").read_text(encoding="utf-8")
    assert change[0] in text
    (tmp_path / "schema.toml").write_text(text.replace(*change), encoding="utf-8")
    _, _, error = switchyard("schema", "check", str(tmp_path))
    assert isinstance(error, CommandFailed)
    assert named in error.message


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("a.csv", b"x,y\n1\n", CommandFailed),
        ("a.csv", b"\xff\xfe\x00", CommandFailed),
        ("a.csv.gz", b"no gzip", CommandFailed),
        ("a.csv", b"", CommandFailed),
        ("notes.txt", b"nothing", CommandFailed),
    ],
)
def test_import_of_what_is_no_csv_is_refused(
    name: str, content: bytes, error: type[CommandFailed], tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    assert isinstance(switchyard("schema", "import", str(tmp_path))[2], error)
    assert not (tmp_path / "schema.toml").exists()


def test_import_never_overwrites_what_a_person_has_filled_in(folder: Path) -> None:
    before = (folder / "schema.toml").read_bytes()
    assert isinstance(switchyard("schema", "import", str(folder))[2], InvalidArgument)
    assert (folder / "schema.toml").read_bytes() == before


def test_simulator_names_the_column_that_a_file_lacks(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "branches.csv").write_text("branch_id,city\n1,Lyon\n", encoding="utf-8")
    command = [sys.executable, "-m", "demo.oil_field", "serve", "--issuer", "http://x", "--audience", "a"]
    ran = subprocess.run(
        [*command, "--folder", str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
    )  # fmt: skip
    assert ran.returncode == 1
    assert "branches.csv lacks OPENED" in ran.stderr
    assert "Traceback" not in ran.stderr
