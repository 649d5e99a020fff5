"""The arguments and blocks of each resource in our files, with their location."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.unit.terraform.reading import BLOCK, EXAMPLE, MODULES, ROOT, marked, plain

Uses = dict[str, Any]
"""The names of the blocks used, each with its nested blocks."""

META = {"count", "depends_on", "for_each", "lifecycle", "provider"}
"""Arguments that terraform itself accepts in every resource."""


@dataclass(frozen=True)
class Body:
    """The body of a resource, a data source or a block."""

    where: str
    arguments: dict[str, Any]
    blocks: dict[str, list[Body]]
    dynamic: frozenset[str]
    """Blocks repeated by a `for_each`."""


def bodies() -> Iterator[tuple[str, str, Body]]:
    """Every resource and data source: `resource` or `data`, its type, its body."""
    for folder in (*MODULES, ROOT, EXAMPLE):
        for path in sorted(folder.glob("*.tf")):
            for kind in ("resource", "data"):
                for block in marked(path).get(kind, []):
                    for type_, named in block.items():
                        for name, body in named.items():
                            where = f"{folder.name}/{path.name} {plain(type_)}.{plain(name)}"
                            yield kind, plain(type_), _body(body, where)


def used() -> dict[tuple[str, str], Uses]:
    """The types that our files use, and the blocks in each."""
    found: dict[tuple[str, str], Uses] = {}
    for kind, type_, body in bodies():
        _merge(found.setdefault((kind, type_), {}), body)
    return found


def _merge(uses: Uses, body: Body) -> None:
    for name, inner in body.blocks.items():
        for each in inner:
            _merge(uses.setdefault(name, {}), each)


def _body(raw: dict[str, Any], where: str) -> Body:
    arguments: dict[str, Any] = {}
    blocks: dict[str, list[Body]] = {}
    dynamic: set[str] = set()
    for name, value in raw.items():
        if name == "dynamic":
            for each in value:
                for label, inside in each.items():
                    [content] = inside["content"]
                    dynamic.add(plain(label))
                    blocks.setdefault(plain(label), []).append(_body(content, f"{where}.{plain(label)}"))
        elif isinstance(value, list) and value and isinstance(value[0], dict) and BLOCK in value[0]:
            blocks.setdefault(name, []).extend(_body(each, f"{where}.{name}") for each in value)
        elif not name.startswith("__"):
            arguments[name] = plain(value)
    return Body(where, arguments, blocks, frozenset(dynamic))
