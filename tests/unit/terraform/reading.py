"""Terraform's files, read without a provider."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from hcl2.api import loads

from switchyard.infra.generate import GENERATED_FOLDER

ROOT = GENERATED_FOLDER.parent
MODULES = sorted(path for path in (ROOT / "modules").iterdir() if path.is_dir())
ENVIRONMENTS = [ROOT / "environments" / name for name in ("dev", "prod")]

BLOCK = "__start_line__"
"""The parser puts it into blocks and nowhere else: so they are told from lists of objects."""

_MARKS = {BLOCK, "__end_line__"}


def plain(value: Any) -> Any:
    """What the parser gives, without its quotes and marks."""
    if isinstance(value, dict):
        return {plain(key): plain(each) for key, each in value.items() if key not in _MARKS}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1]
    return value


@cache
def marked(path: Path) -> dict[str, Any]:
    """A file's blocks as the parser gives them: what is a block is marked so. Reading HCL takes a while."""
    found: dict[str, Any] = loads(path.read_text(), with_meta=True)
    return found


@cache
def parsed(path: Path) -> dict[str, Any]:
    """A file's blocks."""
    found: dict[str, Any] = plain(marked(path))
    return found


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
