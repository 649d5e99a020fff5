"""Runs every check: a file of SQL each, whose first line says what holds and whose rows are what does not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

CHECKS = {
    folder.name: {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.sql"))}
    for folder in (Path(__file__).with_name("audit"), Path(__file__).with_name("work"))
}
"""The checks by the database that they read, and by name."""

MOST_SHOWN = 20
"""Violations of one check that are reported; more say nothing new."""

_TABLES = """
create temp table submitted (case_id uuid primary key, wants text);
create temp table email (message_id text primary key, case_id uuid, sha256 text, recipients text[]);
create temp table stop (number integer primary key, kind text, key text, lifted boolean);
create temp table seen (number integer, message_id text, lifted boolean);
create temp table logged (event_id uuid, case_id uuid, digest text, type text, node_from text);
"""


@dataclass(frozen=True)
class Violation:
    """A promise that one case, or the whole run, breaks."""

    check: str
    promise: str
    case_id: str
    found: str


async def find_violations(
    work: asyncpg.Connection[Any], audit: asyncpg.Connection[Any], outbox: Mapping[str, Any], history: Mapping[str, Any]
) -> list[Violation]:
    """All violations in both databases, over connections of their owner, which get temporary tables.

    `outbox` is what the mail provider lists, `history` what the run asked for. Raises asyncpg's errors.
    """
    for connection in (audit, work):
        await _load_run(connection, outbox, history)
    rows = await audit.fetch("select event_id, case_id, transcript_hash, transition, node_from from audit.transition")
    await work.copy_records_to_table("logged", records=[tuple(row) for row in rows])
    await _unite_outboxes(work)
    return await _run_checks(audit, "audit") + await _run_checks(work, "work")


async def check_run(
    work_url: str, audit_url: str, outbox: Mapping[str, Any], history: Mapping[str, Any]
) -> list[Violation]:
    """`find_violations` over connections of its own. Raises OSError, too, if a database cannot be reached."""
    work = await asyncpg.connect(work_url)
    try:
        audit = await asyncpg.connect(audit_url)
        try:
            return await find_violations(work, audit, outbox, history)
        finally:
            await audit.close()
    finally:
        await work.close()


def list_checks() -> list[str]:
    """The names of all checks."""
    return [f"{folder}/{name}" for folder, checks in CHECKS.items() for name in checks]


async def _load_run(connection: asyncpg.Connection[Any], outbox: Mapping[str, Any], history: Mapping[str, Any]) -> None:
    await connection.execute(_TABLES)
    await connection.executemany(
        "insert into submitted values ($1::text::uuid, $2)",
        [(case["case_id"], case.get("wants")) for case in history["submitted"]],
    )
    await connection.executemany(
        "insert into email values ($1, $2::text::uuid, $3, $4)",
        [
            (email["message_id"], email["tags"].get("case_id"), email["sha256"], list(email["recipients"]))
            for email in outbox["emails"]
        ],
    )
    for number, stop in enumerate(history["stops"]):
        lifted = stop.get("after") is not None
        await connection.execute("insert into stop values ($1, $2, $3, $4)", number, stop["kind"], stop["key"], lifted)
        seen = [(number, message, False) for message in stop["before"]]
        seen += [(number, message, True) for message in stop.get("after") or ()]
        await connection.executemany("insert into seen values ($1, $2, $3)", seen)
    await connection.execute("analyze submitted, email, stop, seen")


async def _unite_outboxes(work: asyncpg.Connection[Any]) -> None:
    """One view, `published`, over the outbox of every producer."""
    schemas = await work.fetch(
        "select nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where relname = 'outbox' and relkind = 'r' order by nspname"
    )
    columns = "event_id, case_id, digest, type, publish_after"
    parts = [f"select '{row['nspname']}' as node, {columns} from {row['nspname']}.outbox" for row in schemas]  # noqa: S608
    await work.execute(f"create temp view published as {' union all '.join(parts)}")
    await work.execute("create index on logged (event_id)")
    await work.execute("analyze logged")


async def _run_checks(connection: asyncpg.Connection[Any], folder: str) -> list[Violation]:
    violations: list[Violation] = []
    for name, sql in CHECKS[folder].items():
        promise = sql.splitlines()[0].removeprefix("-- ")
        rows = (await connection.fetch(sql))[:MOST_SHOWN]
        violations += [Violation(f"{folder}/{name}", promise, str(row["case_id"]), row["found"]) for row in rows]
    return violations


def read_json(path: Path) -> dict[str, Any]:
    """A file of the run."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
