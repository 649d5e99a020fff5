"""Terraform's files, read without a provider."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from hcl2.api import loads

from switchyard.infra.generate import GENERATED_FOLDER

ROOT = GENERATED_FOLDER.parent
MODULES = sorted(path for path in (ROOT / "modules").iterdir() if path.is_dir())
EXAMPLE = ROOT.parent / "examples" / "upstream"
"""For the account of an upstream."""

ENVIRONMENTS = ("dev", "prod")
"""Each has a `.tfvars` file and a backend file; the `.tf` files are the same for both."""

BLOCK = "__start_line__"
"""The parser adds this key to blocks only, which distinguishes them from lists of objects."""

_MARKS = {BLOCK, "__end_line__"}


def plain(value: Any) -> Any:
    """The parser's result without quotes and marks."""
    if isinstance(value, dict):
        return {plain(key): plain(each) for key, each in value.items() if key not in _MARKS}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1]
    return value


@cache
def marked(path: Path) -> dict[str, Any]:
    """A file's blocks as the parser returns them, each with its mark. Cached, because parsing HCL is slow."""
    found: dict[str, Any] = loads(path.read_text(), with_meta=True)
    return found


@cache
def parsed(path: Path) -> dict[str, Any]:
    """A file's blocks."""
    found: dict[str, Any] = plain(marked(path))
    return found


def values(environment: str) -> dict[str, Any]:
    """An environment's values of the root module's variables."""
    return parsed(ROOT / f"{environment}.tfvars")


def blocks(folder: Path, kind: str) -> list[Any]:
    """All blocks of a kind in a folder's files."""
    found: list[Any] = []
    for path in sorted(folder.glob("*.tf")):
        found += parsed(path).get(kind, [])
    return found


def resources(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Resources by type and name."""
    return {
        (type_, name): body
        for block in blocks(folder, "resource")
        for type_, named in block.items()
        for name, body in named.items()
    }
