"""Looks for tokens in all that a run left behind: tables, logs and crash output, spans, objects, queues and artefacts.

A token is a JWT, whole or cut, or what follows `Bearer`. The signed statements of an ingress look like one and are
none: their header's `typ` says what they are.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Collection, Iterator
from pathlib import Path
from typing import Any

import asyncpg

from switchyard.cli.app.audit_log import is_artefact, open_artefact_reader, read_artefact
from switchyard.cli.app.errors import CommandFailed
from switchyard.protocol.grants import GRANT_TOKEN_TYPE
from switchyard.protocol.principals import PRINCIPAL_TOKEN_TYPE
from tests.deployed import Deployed
from tests.reference import consumers

STATEMENTS = {GRANT_TOKEN_TYPE, PRINCIPAL_TOKEN_TYPE}
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_BEARER = re.compile(r"bearer\s+[A-Za-z0-9._~+/=-]{12,}", re.IGNORECASE)
_OBJECT = re.compile(rb'\{"[A-Za-z_]{2,20}"\s*:')
_HEX_JWT = re.compile(r"65794a(?:68624763|30655841|72615751)")
"""The same beginnings in a bytea column: {"alg, {"typ and {"kid."""

_ROWS = "eyJ|[Bb][Ee][Aa][Rr][Ee][Rr]|65794a"
SHOWN = 60


def tokens_in(text: str, issued: Collection[str] = ()) -> list[str]:
    """What of a text is a token, shortened. `issued` are tokens that are known, whole; their signatures count, too."""
    found = [match[0] for match in _BEARER.finditer(text)]
    found += [match[0] for match in _JWT.finditer(text) if _is_token(match[0])]
    found += [match[0] for match in _HEX_JWT.finditer(text)]
    found += [part for token in issued for part in {token, token.rpartition(".")[2]} if len(part) > 20 and part in text]
    return [each[:SHOWN] for each in found]


def _is_token(text: str) -> bool:
    head, _, rest = text.partition(".")
    data = _decoded(head)
    if not _OBJECT.match(data):
        return False  # chance, in ciphertext
    try:
        header = json.loads(data)
    except ValueError:
        return True  # cut
    if not isinstance(header, dict) or header.get("typ") not in STATEMENTS:
        return True
    return "eyJ" in rest.partition(".")[2]  # a token behind a statement


def _decoded(text: str) -> bytes:
    text = text[: len(text) - 1] if len(text) % 4 == 1 else text
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


Leak = tuple[str, str]
"""Where, and the beginning of what."""


def leaks_in_files(folder: Path, issued: Collection[str] = ()) -> Iterator[Leak]:
    """Tokens in any file of a folder, of any format."""
    for file in sorted(each for each in folder.rglob("*") if each.is_file()):
        for token in tokens_in(file.read_bytes().decode("latin-1"), issued):
            yield str(file), token


async def leaks_in_database(url: str, issued: Collection[str] = ()) -> AsyncIterator[Leak]:
    """Tokens in any row of any table."""
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            "select format('%I.%I', schemaname, tablename) as name from pg_tables"
            " where schemaname not in ('pg_catalog', 'information_schema')"
        )
        assert tables, "a database without tables"
        for table in (row["name"] for row in tables):
            signatures = [token.rpartition(".")[2] for token in issued]
            rows = await connection.fetch(
                f"select t::text as line from {table} t"
                " where t::text ~ $1 or exists (select from unnest($2::text[]) s where strpos(t::text, s) > 0)",
                _ROWS,
                signatures,
            )
            for row in rows:
                for token in tokens_in(row["line"], issued):
                    yield table, token
    finally:
        await connection.close()


async def leaks_of(deployed: Deployed, *folders: Path, issued: Collection[str] = ()) -> list[Leak]:
    """Tokens in all that a deployment has left behind; `folders` hold its logs and spans."""
    found = [leak for folder in folders for leak in leaks_in_files(folder, issued)]
    for database in ("SWITCHYARD_WORK_DB_OWNER_URL", "SWITCHYARD_AUDIT_DB_OWNER_URL"):
        found += [leak async for leak in leaks_in_database(deployed.exports[database], issued)]
    found += [leak async for leak in _leaks_in_objects(deployed, issued)]
    found += [leak async for leak in _leaks_in_queues(deployed, issued)]
    found += [leak async for leak in _leaks_in_artefacts(deployed, issued)]
    return found


async def _leaks_in_objects(deployed: Deployed, issued: Collection[str]) -> AsyncIterator[Leak]:
    async with deployed.client("s3") as s3:
        for bucket in [each["Name"] for each in (await s3.list_buckets())["Buckets"]]:
            async for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for key in [each["Key"] for each in page.get("Contents", ())]:
                    body = await (await s3.get_object(Bucket=bucket, Key=key))["Body"].read()
                    for token in tokens_in(body.decode("latin-1"), issued):
                        yield f"s3://{bucket}/{key}", token


async def _leaks_in_queues(deployed: Deployed, issued: Collection[str]) -> AsyncIterator[Leak]:
    async with deployed.client("sqs") as sqs:
        for queue in [name for each in consumers() for name in (each.queue, *each.lanes, each.dead_letter_queue)]:
            url = (await sqs.get_queue_url(QueueName=queue))["QueueUrl"]
            answer = await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
            for message in answer.get("Messages", ()):
                for token in tokens_in(message["Body"], issued):
                    yield queue, token


async def _leaks_in_artefacts(deployed: Deployed, issued: Collection[str]) -> AsyncIterator[Leak]:
    """In what is sealed, opened as a reviewer opens it. The statement of an ingress is sealed, too, and is no token."""
    rows = await deployed.rows("select body from audit.transition where body is not null")
    seen: set[str] = set()
    async with open_artefact_reader(deployed.target) as artefacts:
        for event in (json.loads(row["body"])["detail"] for row in rows):
            for reference in _artefacts_of(event.get("payload")):
                if reference["sha256"] in seen:
                    continue
                try:
                    data = await read_artefact(artefacts, event, reference)
                except CommandFailed:
                    continue  # erased, or not carried by this event; what is in S3 is searched there
                seen.add(reference["sha256"])
                for token in tokens_in(data.decode("latin-1"), issued):
                    yield f"{event['case_id']}/{reference['name']}", token
    assert not rows or seen, "no artefact could be opened"


def _artefacts_of(value: Any) -> Iterator[dict[str, Any]]:
    if is_artefact(value):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _artefacts_of(each)
