"""Named SQL: a module's `.sql` file holds statements that each follow a line `-- name: some_name`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_HEADER = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


class Queries:
    """The statements of a file, and others, by name. A name that is missing is a `KeyError` where it is used first."""

    def __init__(self, path: Path | None = None, others: Mapping[str, str] | None = None) -> None:
        parts = [] if path is None else _HEADER.split(path.read_text(encoding="utf-8"))
        found = {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}
        self._statements = found | dict(others or {})

    def __getitem__(self, name: str) -> str:
        return self._statements[name]


def load_queries(module_file: str, name: str | None = None) -> Queries:
    """The named statements of a module: `load_queries(__file__)` reads the `.sql` file of the same name beside it."""
    path = Path(module_file)
    return Queries(path.with_name(name) if name else path.with_suffix(".sql"))
