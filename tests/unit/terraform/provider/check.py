"""Compares what a file says with what the provider takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.unit.terraform.provider.uses import META, Body


def problems(body: Body, schema: dict[str, Any]) -> Iterator[str]:
    """What the provider would refuse: names it does not know, what is its own to say, what is missing or too much."""
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
            yield f"{body.where}: {name} is a block, and stands there as an argument"
        elif name not in attributes:
            yield f"{body.where}: there is no argument {name}"
        elif not attributes[name].keys() & {"required", "optional"}:
            yield f"{body.where}: {name} is the provider's to say"
    for name, attribute in attributes.items():
        if attribute.get("required") and name not in body.arguments:
            yield f"{body.where}: the argument {name} is required"


def _blocks(body: Body, name: str, attributes: dict[str, Any], nested: dict[str, Any]) -> Iterator[str]:
    found = body.blocks[name]
    if name not in nested:
        kind = "an argument, and stands there as a block" if name in attributes else "no block of it"
        yield f"{body.where}: {name} is {kind}"
        return
    if nested[name].get("max_items", len(found)) < len(found):
        yield f"{body.where}: {name} stands there {len(found)} times, and may stand there once"
    if "block" in nested[name]:
        for inner in found:
            yield from problems(inner, nested[name]["block"])


def unknown_output(path: list[str], schema: dict[str, Any]) -> str | None:
    """The first name of a reference's path (`firewall_status`, `sync_states`) that the provider does not give."""
    for place, name in enumerate(path):
        attributes, nested = schema["attributes"], schema.get("block_types", {})
        if name in nested and "block" in nested[name]:
            schema = nested[name]["block"]
        elif name in attributes and "nested_type" in attributes[name]:
            schema = attributes[name]["nested_type"]
        elif name in attributes:
            return None  # a plain value; what follows is a key of a map or an index
        else:
            return ".".join(path[: place + 1])
    return None
