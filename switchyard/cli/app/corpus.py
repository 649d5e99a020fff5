"""A corpus: events as audit received them, one a line, case by case; gzip if the name says so."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import IO

from switchyard.audit.records.projection import examine_message
from switchyard.audit.verification.findings import StoredRow
from switchyard.cli.app.errors import CommandFailed
from switchyard.protocol.catalogue import Catalogue

WriteCases = Callable[[Sequence[StoredRow]], None]


def read_cases(catalogue: Catalogue, path: Path) -> Iterator[list[StoredRow]]:
    """The rows of one case after another. Raises `CommandFailed` naming the line that is no event."""
    if not path.exists():
        raise CommandFailed(f"there is no file {path}", remedy="write one with `switchyard audit replay --save FILE`")
    with _opened(path) as lines:
        for _, rows in groupby(_rows(catalogue, path, lines), key=lambda each: each.row.case_id):
            yield list(rows)


def _rows(catalogue: Catalogue, path: Path, lines: IO[str]) -> Iterator[StoredRow]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            found = examine_message(catalogue, line.rstrip("\n"))
            if found.row is None:
                why = found.alarm.reason if found.alarm else "no event"
                raise CommandFailed(f"{path} line {number}: {why}", remedy="take the file as it was saved")
            # When it was recorded is not in the text; not before it happened, by whichever clock.
            claims = (found.row.event_ts, found.row.bus_ts)
            yield StoredRow(found.row, max(claim for claim in claims if claim is not None))


@contextmanager
def open_corpus_writer(path: Path | None) -> Iterator[WriteCases]:
    """Writes cases to a file; without one, nowhere."""
    if path is None:
        yield lambda rows: None
        return
    with path.open("wb") as file, _compressed(path, file) as text:

        def write(rows: Sequence[StoredRow]) -> None:
            for each in rows:
                text.write(_line(each.row.body) + "\n")

        yield write


def _line(body: str) -> str:
    """The text on one line, without the places of artefacts: no digest and no decision depends on those."""
    event = json.loads(body)
    event["detail"]["storage_refs"] = {}
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _opened(path: Path) -> IO[str]:
    return gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")


@contextmanager
def _compressed(path: Path, file: IO[bytes]) -> Iterator[IO[str]]:
    # No time and no name in the header: the same corpus is the same file.
    raw = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) if path.suffix == ".gz" else file
    with io.TextIOWrapper(raw, encoding="utf-8", newline="\n") as text:
        yield text
