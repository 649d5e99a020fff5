"""A corpus: events as audit received them, one per line, case by case; gzip for a name that ends in .gz."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from typing import IO, Any

from switchyard.audit.records.projection import examine_message
from switchyard.audit.records.stored_row import StoredRow
from switchyard.cli.app.errors import CommandFailed
from switchyard.protocol.catalogue import Catalogue
from switchyard.protocol.errors import why_unreadable

WriteCases = Callable[[Sequence[StoredRow]], None]


def read_cases(catalogue: Catalogue, path: Path) -> Iterator[list[StoredRow]]:
    """The rows of case after case. Raises `CommandFailed` with the number of an invalid line."""
    if not path.exists():
        raise CommandFailed(f"there is no file {path}", remedy="write one with `switchyard audit replay --save FILE`")
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            for _, rows in groupby(_rows(catalogue, path, lines), key=lambda each: each.row.case_id):
                yield list(rows)
    except (UnicodeDecodeError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CommandFailed(
            f"{path} is not a corpus: {why_unreadable(error)}", remedy="use the file unchanged, as it was saved"
        ) from error


def _rows(catalogue: Catalogue, path: Path, lines: IO[str]) -> Iterator[StoredRow]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            found = examine_message(catalogue, line.rstrip("\n"))
            if found.row is None:
                why = found.alarm.reason if found.alarm else "not an event"
                raise CommandFailed(f"{path} line {number}: {why}", remedy="use the file unchanged, as it was saved")
            # The text lacks the time of recording, which is not before any clock's time of the event.
            claims = (found.row.event_ts, found.row.bus_ts)
            yield StoredRow(found.row, max(claim for claim in claims if claim is not None))


@contextmanager
def open_corpus_writer(path: Path | None) -> Iterator[WriteCases]:
    """Writes cases to a file; without one, it drops them."""
    if path is None:
        yield lambda rows: None
        return
    with ExitStack() as stack:
        raw: Any = stack.enter_context(path.open("wb"))
        if path.suffix == ".gz":
            # No time and no name in the header: the same corpus is the same file.
            raw = gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0)
        text = stack.enter_context(io.TextIOWrapper(raw, encoding="utf-8", newline="\n"))
        yield lambda rows: text.writelines(_line(each.row.body) for each in rows)


def _line(body: str) -> str:
    """The text as a line, without storage_refs: no digest and no decision depends on them."""
    event = json.loads(body)
    event["detail"]["storage_refs"] = {}
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"), sort_keys=True) + "\n"
