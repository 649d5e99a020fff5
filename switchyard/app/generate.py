"""Write what is generated from the catalogue: `python -m switchyard.app.generate [--check]`.

With `--check` nothing is written: it lists the files in `contracts/schemas/` that differ, are missing or are left over,
and exits 1 if there are any.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from switchyard.app.application import load_app
from switchyard.app.asyncapi import build_asyncapi
from switchyard.app.generated_files import run_generator
from switchyard.app.schemas import document, schema_file
from switchyard.protocol.catalogue import Catalogue
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.fields import Json

SCHEMAS_FOLDER = Path("contracts/schemas")


def schema_files(catalogue: Catalogue) -> dict[str, str]:
    """Every generated file: its name and its text."""
    made: dict[str, Json] = {
        "asyncapi.json": build_asyncapi(catalogue),
        "envelope.json": document(Envelope, "envelope"),
    }
    for type_ in catalogue.types:
        made[schema_file(type_)] = document(type_.payload, f"{type_.name}:{type_.version}")
    return {name: json.dumps(made[name], indent=2, ensure_ascii=True) + "\n" for name in sorted(made)}


def main(arguments: Sequence[str], folder: Path = SCHEMAS_FOLDER) -> int:
    """The command line; returns the exit status."""
    return run_generator("switchyard.app.generate", schema_files(load_app().catalogue), folder, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
