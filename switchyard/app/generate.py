"""Write what is generated from the catalogue: `python -m switchyard.app.generate [--check]`.

`contracts/openapi.json` is the document of its API, `contracts/prompts/` has its prompts. With `--check` nothing is
written: it lists the files that differ, are missing or are left over, and exits 1 if there are any.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from switchyard.api.endpoints import PostedRequest
from switchyard.api.openapi import build_openapi
from switchyard.api.requests import posted_requests
from switchyard.app.application import App, load_app
from switchyard.app.asyncapi import build_asyncapi
from switchyard.app.generated_files import run_generator
from switchyard.app.prompts import prompt_files
from switchyard.app.schemas import document, schema_file
from switchyard.protocol.catalogue import Catalogue
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.fields import Json

SCHEMAS_FOLDER = Path("contracts/schemas")
OPENAPI_FILE = Path("contracts/openapi.json")


def schema_files(catalogue: Catalogue) -> dict[str, str]:
    """Every generated file: its name and its text."""
    made: dict[str, Json] = {
        "asyncapi.json": build_asyncapi(catalogue),
        "envelope.json": document(Envelope, "envelope"),
    }
    for type_ in catalogue.types:
        made[schema_file(type_)] = document(type_.payload, f"{type_.name}:{type_.version}")
    return {name: json.dumps(made[name], indent=2, ensure_ascii=True) + "\n" for name in sorted(made)}


def openapi_text(app: App) -> str:
    """The OpenAPI document of an application's API."""
    return json.dumps(build_openapi(api_requests(app)), indent=2) + "\n"


def api_requests(app: App) -> tuple[PostedRequest, ...]:
    """What the function behind an application's API takes."""
    if (kind := app.user_submission) is None:
        return ()
    return posted_requests(kind, grants=app.identity is not None, memory=app.caller_memory is not None)


def main(arguments: Sequence[str], folder: Path = SCHEMAS_FOLDER, page: Path = OPENAPI_FILE) -> int:
    """The command line; returns the exit status."""
    app = load_app()
    pages = prompt_files(app)
    if app.has_api:
        pages[page] = openapi_text(app)
    return run_generator("switchyard.app.generate", schema_files(app.catalogue), folder, arguments, pages)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
