"""Write what is generated from the catalogue: `python -m switchyard.app.generate [--check]`.

With `--check` nothing is written: it lists the files in `contracts/schemas/` that differ, are missing or are left over,
and exits 1 if there are any.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import rfc8785

from switchyard.app.application import load_app
from switchyard.app.asyncapi import build_asyncapi
from switchyard.app.schemas import document, schema_file
from switchyard.protocol.canonical import parse_json
from switchyard.protocol.catalogue import Catalogue
from switchyard.protocol.digest import UNDIGESTED_FIELDS
from switchyard.protocol.envelope import SOURCE_PREFIX, Envelope
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Json
from switchyard.protocol.topology import (
    BUS,
    DEAD_LETTER_RETENTION_SECONDS,
    MAX_RECEIVES,
    RETENTION_SECONDS,
    VISIBILITY_SECONDS,
    consumers,
)
from switchyard.protocol.vectors import ACCEPTED_INPUTS, REJECTED_INPUTS

SCHEMAS_FOLDER = Path("contracts/schemas")


def schema_files(catalogue: Catalogue) -> dict[str, str]:
    """Every generated file: its name and its text."""
    made: dict[str, Json] = {
        "asyncapi.json": build_asyncapi(catalogue),
        "catalogue.json": build_catalogue(catalogue),
        "digest-vectors.json": build_vectors(),
        "envelope.json": document(Envelope, "envelope"),
    }
    for type_ in catalogue.types:
        made[schema_file(type_)] = document(type_.payload, f"{type_.name}:{type_.version}")
    return {name: json.dumps(made[name], indent=2, ensure_ascii=True) + "\n" for name in sorted(made)}


def build_catalogue(catalogue: Catalogue) -> Json:
    """Types, flows, queues and rules, for what cannot import Python: terraform, dashboards, other languages."""
    return {
        "bus": BUS,
        "types": [
            {
                "type": type_.name,
                "version": type_.version,
                "schema": schema_file(type_),
                "flows": [{"from": producer, "to": consumer} for producer, consumer in type_.flows],
                "stateful": type_.stateful,
                "terminal": type_.terminal,
            }
            for type_ in catalogue.types
        ],
        "consumers": [
            {
                "node": consumer.node,
                "queue": consumer.queue,
                "dead_letter_queue": consumer.dead_letter_queue,
                "rules": [{"name": rule.name, "pattern": rule.pattern} for rule in consumer.rules],
                "handles": [type_.name for type_ in catalogue.types_for(consumer.node)],
                "publishes": {
                    "source": SOURCE_PREFIX + consumer.node,
                    "types": [type_.name for type_ in catalogue.types_emitted_by(consumer.node)],
                },
            }
            for consumer in consumers(catalogue)
        ],
        "queues": {
            "visibility_seconds": VISIBILITY_SECONDS,
            "retention_seconds": RETENTION_SECONDS,
            "dead_letter_retention_seconds": DEAD_LETTER_RETENTION_SECONDS,
            "max_receives": MAX_RECEIVES,
        },
    }


def build_vectors() -> Json:
    """Digest vectors. Their canonical form comes from the reference library alone, not from our faster path."""
    accepted = []
    for name, text in ACCEPTED_INPUTS:
        content = {key: value for key, value in parse_json(text).items() if key not in UNDIGESTED_FIELDS}
        canonical = rfc8785.dumps(content)
        sha256 = hashlib.sha256(canonical).hexdigest()
        accepted.append({"name": name, "text": text, "canonical": canonical.decode(), "sha256": sha256})
    return {
        "description": (
            "Read `text` as JSON, drop the top-level members named in `not_content`, write the rest as RFC 8785 has "
            "it, and take SHA-256 of the UTF-8 bytes. Every text under `refused` must be refused."
        ),
        "not_content": sorted(UNDIGESTED_FIELDS),
        "accepted": accepted,
        "refused": [{"name": name, "text": text, "why": _rejection_of(text)} for name, text in REJECTED_INPUTS],
    }


def _rejection_of(text: str) -> str:
    try:
        parse_json(text)
    except InvalidEvent as rejection:
        # Where a parser stops differs from one to the next; that it stops does not.
        return rejection.message.partition(" at line ")[0]
    raise AssertionError("a vector that should be refused was read")


def stale_schema_files(folder: Path) -> list[str]:
    """The names of files in `folder` that are not what `documents` makes: changed, missing or left over."""
    made = schema_files(load_app().catalogue)
    there = {path.name: path.read_text() for path in folder.glob("*.json")}
    return sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))


def write_schema_files(folder: Path) -> None:
    """Make `folder` hold exactly what `documents` makes."""
    folder.mkdir(exist_ok=True)
    made = schema_files(load_app().catalogue)
    for path in folder.glob("*.json"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (folder / name).write_text(text)


def main(arguments: Sequence[str], folder: Path = SCHEMAS_FOLDER) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m switchyard.app.generate", description="Generate contracts/schemas/."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file would change")
    if parser.parse_args(arguments).check:
        stale = stale_schema_files(folder)
        sys.stdout.writelines(f"{folder.name}/{name} is not what the contracts generate\n" for name in stale)
        if stale:
            sys.stdout.write("Remedy: run `python -m switchyard.app.generate` and commit the result.\n")
        return 1 if stale else 0
    write_schema_files(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
