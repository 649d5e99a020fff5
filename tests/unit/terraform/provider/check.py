"""Compare the arguments and blocks of our files with the provider's schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.unit.terraform.provider.uses import META, Body


def problems(body: Body, schema: dict[str, Any]) -> Iterator[str]:
    """Errors that the provider would report: unknown, read-only, missing and repeated arguments and blocks."""
    attributes, nested = schema["attributes"], schema.get("block_types", {})
    yield from _arguments(body, attributes, nested)
    for name, each in nested.items():
        if each.get("min_items") and name not in body.blocks:
            yield f"{body.where}: the block {name} is required"
    for name in body.blocks.keys() - META:
        yield from _blocks(body, name, attributes, nested)


def _arguments(body: Body, attributes: dict[str, Any], nested: dict[str, Any]) -> Iterator[str]:
    for name in body.arguments.keys() - META:
        if name in nested:
            yield f"{body.where}: {name} is a block, given as an argument"
        elif name not in attributes:
            yield f"{body.where}: there is no argument {name}"
        elif not attributes[name].keys() & {"required", "optional"}:
            yield f"{body.where}: {name} is set by the provider"
    for name, attribute in attributes.items():
        if attribute.get("required") and name not in body.arguments:
            yield f"{body.where}: the argument {name} is required"


def _blocks(body: Body, name: str, attributes: dict[str, Any], nested: dict[str, Any]) -> Iterator[str]:
    found = body.blocks[name]
    if name not in nested:
        kind = "an argument, given as a block" if name in attributes else "not one of its blocks"
        yield f"{body.where}: {name} is {kind}"
        return
    if nested[name].get("max_items", len(found)) < len(found):
        yield f"{body.where}: {name} is given {len(found)} times: once is allowed"
    if "block" in nested[name]:
        for inner in found:
            yield from problems(inner, nested[name]["block"])


def unknown_output(path: list[str], schema: dict[str, Any]) -> str | None:
    """The first name of a reference's path (`firewall_status`, `sync_states`) that is not in the schema."""
    known: Any = schema
    for depth, name in enumerate(path):
        if known is None:
            return None  # a plain value; what follows is a key of a map
        if name not in (members := _members(known)):
            return ".".join(path[: depth + 1])
        known = members[name]
    return None


def _members(known: Any) -> dict[str, Any]:
    """The members of a block or of an object type; None for a member without members."""
    if isinstance(known, dict):
        nested = {name: each.get("block") for name, each in known.get("block_types", {}).items()}
        return nested | {
            name: each.get("nested_type", _object(each.get("type"))) for name, each in known["attributes"].items()
        }
    return {name: _object(type_) for name, type_ in known[1].items()}


def _object(type_: Any) -> Any:
    """`["object", members]` of a type or of its element type; None for other types."""
    while isinstance(type_, list) and type_[0] in {"list", "set", "map"}:
        type_ = type_[1]
    return type_ if isinstance(type_, list) else None
