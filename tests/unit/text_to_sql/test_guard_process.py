from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import pytest

from demo.oil_field.warehouse import oil_field_schema
from services.specialists.text_to_sql.guard import guard_query
from services.specialists.text_to_sql.guard_process import GuardProcess
from services.specialists.text_to_sql.schema import Schema
from services.specialists.text_to_sql.unsafe_query import UnsafeQuery

MAX_PEAK_KB = 150_000
MAX_CPU_S = 1.5
COUNT = "SELECT COUNT(*) AS n FROM wells"
LONG = "SELECT state FROM wells WHERE " + " OR ".join(["basin = 'DJ'"] * 300)


def doubling(first: str, operator: str, times: int) -> str:
    steps = "".join(f", a{n} {operator} a{n} AS a{n + 1}" for n in range(times))
    return f"SELECT {first} {operator} {first} AS a0{steps} FROM wells"


def nested(call: str, times: int) -> str:
    text = "well_name"
    for _ in range(times):
        text = call.format(text)
    return f"SELECT {text} AS x FROM wells"


def chained(first: str, following: str, times: int) -> str:
    """CTEs, each made of the one before it."""
    steps = [f"q0 AS ({first})"] + [f"q{n + 1} AS ({following.replace('PREVIOUS', f'q{n}')})" for n in range(times)]
    return f"WITH {', '.join(steps)} SELECT COUNT(*) AS n FROM q{times}"


BOMBS = {
    "seventeen sums of the sum before": doubling("lateral_length_ft", "+", 17),
    "three hundred texts of the text before": doubling("well_name", "||", 300),
    "a name of the select list in WHERE": doubling("lateral_length_ft", "+", 12) + " WHERE a12 > a11",
    "a name of the select list in GROUP BY": doubling("lateral_length_ft", "+", 12) + " GROUP BY a12, a11, a10",
    "nested REPLACE": nested("REPLACE({}, 'a', 'aaaaaaaaaaaaaaaa')", 12),
    "nested REGEXP_REPLACE": nested("REGEXP_REPLACE({}, '.', 'aaaaaaaaaaaaaaaa')", 12),
    "nested CONCAT": nested("CONCAT({0}, {0})", 9),
    "deep CASE": "SELECT " + "CASE WHEN TRUE THEN " * 250 + "1" + " END" * 250 + " AS x FROM wells",
    "deep IFF": "SELECT " + "IFF(TRUE, " * 300 + "1" + ", 2)" * 300 + " AS x FROM wells",
    "ten thousand ORs": "SELECT state FROM wells WHERE " + " OR ".join(["state = 'TX'"] * 10_000),
    "as many ORs as the length allows": "SELECT state FROM wells WHERE " + " OR ".join(["a=b"] * 1_100),
    "a long list": f"SELECT state FROM wells WHERE state IN ({', '.join(['1'] * 900)})",
    "many parentheses": "SELECT " + "(" * 3_000 + "1" + ")" * 3_000 + " FROM wells",
    "many signs": "SELECT " + "- " * 1_900 + "1 FROM wells",
    "deep subqueries": "SELECT state FROM " + "(SELECT state FROM " * 100 + "wells" + ")" * 100,
    "stars of stars": chained("SELECT *, *, * FROM wells", "SELECT *, *, * FROM PREVIOUS", 20),
    "unions of unions": chained(
        "SELECT state FROM wells", "SELECT state FROM PREVIOUS UNION ALL SELECT state FROM PREVIOUS", 60
    ),
    "joins of joins": chained(
        "SELECT state FROM wells", "SELECT a.state FROM PREVIOUS a JOIN PREVIOUS b ON a.state = b.state", 30
    ),
    "texts through CTEs": chained("SELECT well_name AS x FROM wells", "SELECT x || x AS x FROM PREVIOUS", 60),
    "pivots of pivots": chained(
        "SELECT * FROM wells",
        "SELECT * FROM PREVIOUS UNPIVOT (v FOR k IN (state, county, field, basin, formation, operator, status))",
        20,
    ),
    "a cube": f"SELECT COUNT(*) FROM wells GROUP BY CUBE ({', '.join(oil_field_schema().tables['WELLS'].columns)})",
    "brackets": "SELECT " + "[" * 4_000,
    "quotation marks": "SELECT " + '"' * 7_000 + " FROM wells",
    "comments": "SELECT 1 " + "/*" * 3_900,
}


@contextmanager
def started(schema: Schema, **limits: int) -> Iterator[GuardProcess]:
    guard = GuardProcess(schema, **limits)
    try:
        yield guard
    finally:
        guard.close_now()


def pid_of(guard: GuardProcess) -> int:
    guard._start()
    assert guard._process is not None
    return guard._process.pid


def peak_kb(pid: int) -> int:
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1])


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rejected(guard: GuardProcess, sql: str) -> UnsafeQuery:
    with pytest.raises(UnsafeQuery) as caught:
        guard.check_now(sql)
    return caught.value


@pytest.mark.parametrize("sql", [pytest.param(sql, id=name) for name, sql in BOMBS.items()])
def test_bomb_is_refused_in_little_time_and_memory(sql: str, guard: GuardProcess) -> None:
    pid = pid_of(guard)
    before = cpu_s(pid)
    assert rejected(guard, sql).remedy
    # The same process: it was its own bounds that refused, not the limits of the operating system.
    assert pid_of(guard) == pid
    assert cpu_s(pid) - before < MAX_CPU_S
    assert peak_kb(pid) < MAX_PEAK_KB


async def test_process_answers_as_the_guard_does(guard: GuardProcess, schema: Schema) -> None:
    assert await guard.check(COUNT, 7) == guard_query(COUNT, schema, max_rows=7)
    refused = rejected(guard, "SELECT home_address FROM technicians")
    assert (refused.code, refused.what) == ("sql_unknown_column", "the column HOME_ADDRESS") or refused.remedy


def test_query_over_its_cpu_time_is_refused_and_the_next_is_answered(schema: Schema) -> None:
    with started(schema, cpu_s=0) as guard:
        first = pid_of(guard)
        ends = perf_counter() + 60
        refused: UnsafeQuery | None = None
        while refused is None and perf_counter() < ends:
            try:
                guard.check_now(LONG)
            except UnsafeQuery as error:
                refused = error
        assert refused is not None
        assert refused.code == "sql_too_costly"
        assert pid_of(guard) != first


def test_query_over_its_memory_is_refused(schema: Schema) -> None:
    with started(schema, memory_bytes=1) as guard:
        wide = "SELECT " + ", ".join(f"lateral_length_ft + {n} AS x{n}" for n in range(90)) + " FROM wells"
        assert rejected(guard, wide).code == "sql_too_costly"


def test_killed_process_is_replaced(schema: Schema) -> None:
    with started(schema) as guard:
        os.kill(pid_of(guard), signal.SIGKILL)
        assert guard._process is not None
        guard._process.wait()
        assert guard.check_now(COUNT).tables == ("WELLS",)


def test_process_holds_no_variable_of_the_agents(schema: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_MODEL_OPENAI_API_KEY", "secret")
    with started(schema) as guard:
        names = [
            entry.partition("=")[0] for entry in Path(f"/proc/{pid_of(guard)}/environ").read_text().split("\0") if entry
        ]
    assert names == ["PYTHONPATH"]


def test_answer_takes_little_longer_than_the_check_itself(guard: GuardProcess, schema: Schema) -> None:
    guard.check_now(COUNT)
    began = perf_counter()
    for _ in range(20):
        guard.check_now(COUNT)
    through = perf_counter() - began
    assert through / 20 < 0.25
