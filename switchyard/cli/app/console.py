"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

PIPE_WIDTH = 1_000
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What moves a terminal's cursor, turns its text round or has no encoding."""
WIDE = 110
"""From this width on a table has all its columns and whole ids; below, it fits 80 columns."""


class Terminal:
    """rich's console, imported when something is printed: help needs none of it."""

    @cached_property
    def console(self) -> Console:
        """A pipe has no width: nothing is cut or wrapped there, unless COLUMNS asks for it."""
        from rich.console import Console

        piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
        return Console(highlight=False, width=PIPE_WIDTH if piped else None)

    @property
    def width(self) -> int:
        """In characters."""
        return self.console.width

    @width.setter
    def width(self, width: int) -> None:
        self.console.width = width

    def clear(self) -> None:
        """An empty screen, on a terminal."""
        self.console.clear()

    def print(self, text: Any, **options: Any) -> None:
        """Print what rich can show."""
        self.console.print(escape_controls(text) if isinstance(text, str) else text, **options)


console = Terminal()

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Field:
    """A column of a table: the field of the row that it shows, and its header if that is not the field's name.

    On a narrow terminal a `wide` column is left out and a `short` one is cut to so many characters. Only a column that
    `wraps` is broken into lines, between words.
    """

    name: str
    header: str = ""
    wide: bool = False
    short: int | None = None
    wraps: bool = False
    style: Callable[[str], str] | None = None

    @property
    def title(self) -> str:
        """The header."""
        return self.header or self.name.replace("_", " ")


def print_rows(rows: Sequence[Row], fields: Iterable[Field], *, as_json: bool = False, footer: str = "") -> None:
    """Print rows as a table with these columns, or all their fields as a JSON array."""
    from rich import box
    from rich.table import Column, Table

    if as_json:
        print_json(list(rows))
        return
    narrow = console.width < WIDE
    shown = [field for field in fields if not (narrow and field.wide)]
    cells = [[_cell(field, row[field.name], narrow=narrow) for field in shown] for row in rows]
    texts = [[field.title, *(line[at].plain for line in cells)] for at, field in enumerate(shown)]
    columns = [
        Column(field.title, no_wrap=not field.wraps, width=width, overflow="fold")
        for field, width in zip(shown, _widths(shown, texts), strict=True)
    ]
    table = Table(*columns, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for line in cells:
        table.add_row(*line)
    console.print(table)
    if footer:
        console.print(footer)


def _widths(fields: Sequence[Field], texts: Sequence[Sequence[str]]) -> list[int | None]:
    """The widths of the columns that wrap: their longest word, and a share of what is left; None where all fits."""
    whole = [max(map(len, column)) for column in texts]
    spare = console.width - 2 * len(fields) - sum(whole)
    if spare >= 0:
        return [None] * len(fields)
    words = [max(len(word) for text in column for word in text.split() or ("",)) for column in texts]
    wrapped = [all_ - word if field.wraps else 0 for field, all_, word in zip(fields, whole, words, strict=True)]
    share = max(0.0, 1 + spare / sum(wrapped)) if any(wrapped) else 0.0
    return [
        word + int(more * share) if field.wraps else None
        for field, word, more in zip(fields, words, wrapped, strict=True)
    ]


def print_json(value: Any) -> None:
    """Print a value as JSON: times in ISO 8601."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=_json_value)
    sys.stdout.write(_UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


def print_text(text: str, style: str | None = None) -> None:
    """Print a line that may hold anything: brackets in it are no markup."""
    from rich.text import Text

    console.print(Text(escape_controls(text), style=style or ""))


def escape_controls(text: str) -> str:
    """A text that others wrote, with what would act on the terminal written out."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text.replace("\r\n", "\n"))


def count(number: int, noun: str) -> str:
    """A number with its noun: 1 case, 2 cases."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _cell(field: Field, value: Any, *, narrow: bool) -> Text:
    from rich.text import Text

    text = escape_controls(_text(value))
    return Text(text[: field.short] if narrow else text, style=field.style(text) if field.style else "")


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M")
        case list() | tuple():
            return ", ".join(map(_text, value))
        case _:
            return str(value)


def _json_value(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)
