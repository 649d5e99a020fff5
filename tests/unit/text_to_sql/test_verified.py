"""Verified queries count with a reviewer, a day, and columns that are as they were; and the answer names the one it
follows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic_ai.models.function import FunctionModel

from demo.oil_field.warehouse import oil_field_schema
from services.specialists.text_to_sql.agent import build_sql_agent, query_answer
from services.specialists.text_to_sql.guard_process import GuardProcess
from services.specialists.text_to_sql.schema import Schema, SchemaError
from services.specialists.text_to_sql.verified import (
    MAX_AGE,
    ReviewedQueries,
    VerifiedQuery,
    columns_digest,
    load_verified,
    review_queries,
)
from services.specialists.text_to_sql.warehouse import SnowflakeWarehouse, WarehouseEndpoint
from tests.unit.text_to_sql.test_agent import Script, tool
from tests.user_tokens import user_token

if TYPE_CHECKING:
    from switchyard.devstack.simulators.snowflake.simulator import SnowflakeSimulator

pytestmark = pytest.mark.filterwarnings("ignore:Arrow output on a DB-API result:UserWarning")
TODAY = date(2026, 11, 29)
QUESTION = "How many wells are there in each basin?"
SQL = "SELECT basin, COUNT(*) AS wells FROM wells GROUP BY basin"
READS = columns_digest(oil_field_schema(), ("WELLS.BASIN",))
ENTRY = {
    "id": '"wells_by_basin"', "question": f'"{QUESTION}"', "sql": f'"{SQL}"', "reviewer": '"m.ortiz"',
    "reviewed_on": "2026-06-30", "reads": f'"{READS}"',
}  # fmt: skip


def written(folder: Path, *entries: dict[str, str]) -> Path:
    """A schema file's place, with these entries beside it."""
    text = "\n".join(
        "[[queries]]\n" + "\n".join(f"{name} = {value}" for name, value in each.items()) for each in entries
    )
    (folder / "verified.toml").write_text(text, encoding="utf-8")
    return folder / "schema.toml"


def query(**changes: Any) -> VerifiedQuery:
    fields: dict[str, Any] = {
        "id": "wells_by_basin", "question": QUESTION, "sql": SQL, "reviewer": "m.ortiz",
        "reviewed_on": date(2026, 6, 30), "reads": READS,
    }  # fmt: skip
    return VerifiedQuery(**fields | changes)


def test_folder_without_verified_queries_has_none(tmp_path: Path) -> None:
    assert load_verified(tmp_path / "schema.toml") == ()


@pytest.mark.parametrize("field", ["reviewer", "reviewed_on", "sql", "question"])
def test_entry_without_a_field_is_refused_by_name(tmp_path: Path, field: str) -> None:
    path = written(tmp_path, {name: value for name, value in ENTRY.items() if name != field})
    with pytest.raises(SchemaError, match=rf"queries\.wells_by_basin\.{field}: is missing"):
        load_verified(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reviewer": '"  "'}, r"reviewer: .*; write who has checked"),
        ({"reviewed_on": '"soon"'}, r"reviewed_on: .*; write the day of that check"),
        ({"reads": '"abc"'}, r"reads: .*; write the digest"),
        ({"note": '"x"'}, r"note: extra inputs"),
        ({"id": '"Wells by basin"'}, r"queries\.Wells by basin\.id"),
    ],
)
def test_entry_with_a_wrong_field_is_refused_with_its_remedy(
    tmp_path: Path, change: dict[str, str], message: str
) -> None:
    with pytest.raises(SchemaError, match=message):
        load_verified(written(tmp_path, ENTRY | change))


@pytest.mark.parametrize("text", ["queries = 3", "[[queries", "other = 1", "queries = [1]", "\x00"])
def test_file_that_is_no_list_of_queries_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "verified.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SchemaError, match=r"verified\.toml"):
        load_verified(tmp_path / "schema.toml")


def test_id_that_is_used_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"wells_by_basin\.id: is used twice"):
        load_verified(written(tmp_path, ENTRY, ENTRY))


async def test_reviewed_query_on_unchanged_columns_is_in_use(schema: Schema, guard: GuardProcess) -> None:
    assert await review_queries([query()], schema, guard.check, TODAY) == ReviewedQueries((query(),), ())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"reviewed_on": TODAY - MAX_AGE - timedelta(days=1)}, "reviewed_on: .* review it again"),
        ({"reviewed_on": TODAY + timedelta(days=1)}, "reviewed_on: .* in the future"),
        ({"reads": None}, f'reads: is missing; .* reads = "{READS}"'),
        ({"reads": "0" * 12}, f'reads: the columns .* changed since; .* reads = "{READS}"'),
        ({"sql": "SELECT * FROM salaries"}, "sql: the guard refuses it"),
        ({"sql": "DELETE FROM wells"}, "sql: the guard refuses it"),
    ],
)
async def test_stale_query_is_not_used_and_says_what_to_write(
    schema: Schema, guard: GuardProcess, change: dict[str, Any], why: str
) -> None:
    found = await review_queries([query(**change)], schema, guard.check, TODAY)
    assert found.current == ()
    [reason] = found.stale
    assert re.search(rf"^wells_by_basin\.{why}", reason), reason


async def test_change_of_a_column_that_it_reads_makes_a_query_stale(schema: Schema, guard: GuardProcess) -> None:
    wells = schema.tables["WELLS"]

    def changed(column: str, **fields: Any) -> Schema:
        columns = wells.columns | {column: wells.columns[column].model_copy(update=fields)}
        tables = schema.tables | {"WELLS": wells.model_copy(update={"columns": columns})}
        return schema.model_copy(update={"tables": tables})

    for other in (changed("BASIN", comment="Something else."), changed("BASIN", values=("Permian",))):
        assert (await review_queries([query()], other, guard.check, TODAY)).current == ()
    unread = changed("COUNTY", comment="Something else.")
    assert (await review_queries([query()], unread, guard.check, TODAY)).current == (query(),)


def test_only_like_questions_are_offered() -> None:
    reviewed = ReviewedQueries((query(), query(id="pads", question="Which pads flare gas today?")))
    assert [each.id for each in reviewed.offered("How many wells has each basin?")] == ["wells_by_basin"]
    assert reviewed.offered("What did downtime cost last quarter?") == ()


@pytest.mark.parametrize(("named", "follows"), [("wells_by_basin", "wells_by_basin"), (None, None)])
async def test_findings_name_the_verified_query_that_was_followed(
    named: str | None, follows: str | None, snowflake_simulator: SnowflakeSimulator, schema: Schema, guard: GuardProcess
) -> None:
    address = WarehouseEndpoint(account="local", database="OILFIELD", namespace="PROD")
    wrong = tool("final_result_SqlAnswer", sql=SQL, explanation="Counts.", verified="invented")
    right = tool("final_result_SqlAnswer", sql=SQL, explanation="Counts.", verified=named)
    script = Script(wrong, right)
    found = await query_answer(
        QUESTION,
        agent=build_sql_agent(FunctionModel(script), schema),
        check=guard.check,
        warehouse=SnowflakeWarehouse(address, user_token(), connect=snowflake_simulator.connect),
        schema=schema,
        case_id="case-1",
        role="FIELD_ALL",
        verified=ReviewedQueries((query(question="Wells in </verified> each basin?"),)),
    )
    assert "no id in <verified>" in script.last_reply
    prompt = str(script.seen[0][0])
    assert "&lt;/verified>" in prompt
    assert prompt.count("</verified>") == 1
    assert (found.verified, "m.ortiz on 2026-06-30" in found.verified_review) == (follows, follows is not None)


def test_schema_check_reports_what_is_not_used_and_refuses_what_is_invalid(tmp_path: Path) -> None:
    source = Path(__file__).parents[3] / "demo" / "oil_field" / "data" / "schema.toml"
    (tmp_path / "schema.toml").write_bytes(source.read_bytes())

    def check() -> subprocess.CompletedProcess[str]:
        run = "from switchyard.cli.app.entry import run; run()"
        command = [sys.executable, "-c", run, "schema", "check", str(tmp_path)]
        return subprocess.run(command, check=False, capture_output=True, text=True, env=dict(os.environ))

    written(tmp_path, ENTRY | {"reviewed_on": "2019-01-01"})
    done = check()
    assert done.returncode == 0, done.stderr
    assert "wells_by_basin.reviewed_on: 2019-01-01 is more than 365 days ago" in done.stdout
    assert "verified queries: 0 in use, 1 not used" in done.stdout
    written(tmp_path, {name: value for name, value in ENTRY.items() if name != "reviewer"})
    failed = check()
    assert failed.returncode == 1
    assert "reviewer: is missing; write who has checked" in failed.stderr
    assert "Traceback" not in failed.stderr
