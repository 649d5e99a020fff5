"""Named SQL: each `queries.sql` holds statements that follow a line `-- name: some_name`."""

from __future__ import annotations

import re
from pathlib import Path

_HEADER = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


class Queries:
    """The statements of one file, by name. A name that is missing is a `KeyError` where it is used first."""

    def __init__(self, path: Path) -> None:
        parts = _HEADER.split(path.read_text(encoding="utf-8"))
        self._statements = {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}

    def __getitem__(self, name: str) -> str:
        return self._statements[name]


def beside(module_file: str, name: str = "queries.sql") -> Queries:
    """The query file that lies beside a module: `beside(__file__)`."""
    return Queries(Path(module_file).with_name(name))
