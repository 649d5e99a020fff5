"""Verified queries: questions with the query that a person has checked, by whom, when, and on which columns."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from services.specialists.text_to_sql.guarded_query import GuardedQuery
from services.specialists.text_to_sql.schema import Schema, SchemaError
from services.specialists.text_to_sql.unsafe_query import UnsafeQuery
from switchyard.protocol.errors import why_unreadable
from switchyard.protocol.fields import Name

VERIFIED_FILE = "verified.toml"
"""Beside the schema file."""
MAX_AGE = timedelta(days=365)
"""An older review does not count: data and meanings change where no column does."""

OFFERED = 3
LEAST_OVERLAP = 0.3
"""Of the words of two questions, shared by both: below it a query is about something else."""

_WORD = re.compile(r"[a-z0-9]+")
_COMMON = frozenset(
    {
        "a",
        "an",
        "and",
        "by",
        "did",
        "do",
        "does",
        "each",
        "for",
        "from",
        "have",
        "how",
        "in",
        "is",
        "it",
        "many",
        "much",
    }
    | {"of", "on", "or", "our", "the", "to", "was", "we", "were", "what", "which"}
)
"""Words that say nothing of what a question is about."""

_REMEDIES = {
    "reviewer": "write who has checked that the query answers the question",
    "reviewed_on": "write the day of that check, as 2026-06-30",
    "reads": "write the digest that `switchyard schema check` prints, after the check",
}
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=8_000)]


class VerifiedQuery(BaseModel):
    """One pair. `reads` is the digest of the columns that the query read when it was reviewed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Name
    question: Text
    sql: Text
    reviewer: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=150)]
    reviewed_on: date
    reads: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")] | None = Field(default=None)


@dataclass(frozen=True)
class ReviewedQueries:
    """The queries that may be used, and why each other one may not."""

    current: tuple[VerifiedQuery, ...] = ()
    stale: tuple[str, ...] = ()

    def offered(self, question: str) -> tuple[VerifiedQuery, ...]:
        """Those whose question has the most words in common with this one, if it has enough."""
        wanted = _words(question)
        ranked = sorted(
            ((_overlap(wanted, _words(each.question)), each) for each in self.current), key=lambda at: -at[0]
        )
        return tuple(each for share, each in ranked[:OFFERED] if share >= LEAST_OVERLAP)


def load_verified(schema_file: Path) -> tuple[VerifiedQuery, ...]:
    """The queries beside a schema file; none without a file. Raises `SchemaError`, which names field and remedy."""
    path = schema_file.with_name(VERIFIED_FILE)
    if not path.exists():
        return ()
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SchemaError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SchemaError(f"{path}: is not TOML: {why_unreadable(error)}") from error
    entries = found.get("queries")
    if not isinstance(entries, list) or found.keys() != {"queries"}:
        raise SchemaError(f"{path}: write [[queries]] entries, and nothing else")
    queries, problems = [], []
    for number, entry in enumerate(entries, 1):
        try:
            queries.append(VerifiedQuery.model_validate(entry))
        except ValidationError as error:
            named = entry.get("id", number) if isinstance(entry, dict) else number
            problems += [_problem(f"queries.{named}", each["loc"], each["msg"]) for each in error.errors()]
    ids = [each.id for each in queries]
    problems += [f"queries.{each}.id: is used twice" for each in sorted({each for each in ids if ids.count(each) > 1})]
    if problems:
        raise SchemaError(f"{path}: " + "; ".join(problems))
    return tuple(queries)


def _problem(where: str, loc: tuple[int | str, ...], message: str) -> str:
    field = ".".join(map(str, loc))
    remedy = _REMEDIES.get(field)
    what = "is missing" if message == "Field required" else message[0].lower() + message[1:]
    return f"{where}.{field}: {what}" + (f"; {remedy}" if remedy else "")


async def review_queries(
    queries: Sequence[VerifiedQuery],
    schema: Schema,
    check: Callable[[str, int], Awaitable[GuardedQuery]],
    today: date,
) -> ReviewedQueries:
    """Which queries count today: young enough, accepted by the guard, and on columns that have not changed since."""
    current, stale = [], []
    for each in queries:
        try:
            reads = columns_digest(schema, (await check(each.sql, 1)).columns)
        except UnsafeQuery as error:
            stale.append(f"{each.id}.sql: the guard refuses it ({error.code}); correct it, and review it again")
            continue
        if each.reviewed_on > today:
            stale.append(f"{each.id}.reviewed_on: {each.reviewed_on} is in the future; write the day of the review")
        elif today - each.reviewed_on > MAX_AGE:
            stale.append(
                f"{each.id}.reviewed_on: {each.reviewed_on} is more than {MAX_AGE.days} days ago; review it again"
            )
        elif each.reads != reads:
            why = "is missing" if each.reads is None else "the columns that it reads have changed since"
            stale.append(f'{each.id}.reads: {why}; review it again, then write reads = "{reads}"')
        else:
            current.append(each)
    return ReviewedQueries(tuple(current), tuple(stale))


def columns_digest(schema: Schema, columns: Sequence[str]) -> str:
    """Short SHA-256 of the description of these columns, TABLE.COLUMN each, and of their tables' comments."""
    described = []
    for each in sorted(columns):
        table, _, column = each.partition(".")
        described.append(
            f"{each} {schema.tables[table].comment} {schema.tables[table].columns[column].model_dump_json()}"
        )
    return hashlib.sha256("\n".join(described).encode()).hexdigest()[:12]


def prompted_queries(queries: Sequence[VerifiedQuery]) -> str:
    """What the prompt says of them; empty without any. Angle brackets are escaped, so that no text can end it."""
    if not queries:
        return ""
    shown = "\n".join(f"{each.id}: {each.question}\n  {each.sql}".replace("<", "&lt;") for each in queries)
    return (
        "\n<verified>\nQueries that a person has checked for like questions. If you follow one, name its id as "
        f"`verified`; change what the question asks otherwise.\n{shown}\n</verified>"
    )


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower())) - _COMMON


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other) if one | other else 0.0
