"""What `switchyard case show --open` opens: the texts of a case, and the files beside its answer."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from switchyard.cli.app import audit_log
from switchyard.cli.app.access_chain import read_user
from switchyard.cli.app.errors import CommandFailed

if TYPE_CHECKING:
    from switchyard.cli.app.target import Target
    from switchyard.protocol.fields import Json
    from switchyard.runtime.storage.artefacts import Artefacts

_EXTENSIONS = {"image/svg+xml": ".svg", "application/json": ".json", "text/csv": ".csv", "message/rfc822": ".eml"}
"""Those that the machine's own table of types may lack."""


@dataclass(frozen=True)
class ArtefactFile:
    """One artefact that an event lists, under a file name of its own."""

    file: str
    event: Json
    reference: dict[str, Any]

    def describe(self) -> dict[str, Any]:
        """As `case show` prints it. The size is that of the stored bytes."""
        names = ("name", "media_type", "size", "sha256")
        return {"file": self.file} | {name: self.reference[name] for name in names}


def list_files(events: Iterable[Json]) -> list[ArtefactFile]:
    """What the steps of a case have written beside its texts, each once, in their order: the lists of artefacts."""
    from switchyard.protocol.fields import Artefact

    found: dict[str, ArtefactFile] = {}
    for event in events:
        for value in event["payload"].values():
            for reference in value if isinstance(value, list) else ():
                if not audit_log.is_artefact(reference) or reference["sha256"] in found:
                    continue
                try:
                    artefact = Artefact.model_validate(reference)
                except ValidationError:
                    continue  # its name is part of a file's
                file = f"{len(found) + 1}-{event['node_from']}-{artefact.name}{_extension(artefact.media_type)}"
                found[artefact.sha256] = ArtefactFile(file, event, reference)
    return list(found.values())


async def _save_files(artefacts: Artefacts, files: Iterable[ArtefactFile], folder: Path) -> dict[str, str | None]:
    """Write the files; for each one None, or why it cannot be opened. Raises `CommandFailed` if the folder cannot be
    written."""
    problems: dict[str, str | None] = {}
    for each in files:
        try:
            data = await audit_log.read_artefact(artefacts, each.event, each.reference)
        except CommandFailed as error:
            problems[each.file] = error.message
            continue
        _write(folder, each.file, data)
        problems[each.file] = None
    return problems


def _write(folder: Path, file: str, data: bytes) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(data)
    except OSError as error:
        remedy = "name a folder that can be written with --save"
        raise CommandFailed(f"{folder / file} cannot be written ({error.strerror})", remedy=remedy) from error


def _extension(media_type: str) -> str:
    return _EXTENSIONS.get(media_type) or mimetypes.guess_extension(media_type) or ""


async def open_texts(target: Target, events: list[Json]) -> tuple[list[dict[str, str]], str | None]:
    """The texts, each once; one that was erased or is stored in S3 has an `error` instead. And the user's name."""
    fields = ((event, value) for event in events for value in event["payload"].values())
    found = {value["sha256"]: (event, value) for event, value in fields if audit_log.is_artefact(value)}
    opened = []
    async with audit_log.open_artefact_reader(target) as artefacts:
        for event, reference in found.values():
            try:
                text = audit_log.artefact_text(reference, await audit_log.read_artefact(artefacts, event, reference))
            except CommandFailed as error:
                opened.append({"name": reference["name"], "error": error.message})
                continue
            if text is not None:
                opened.append({"name": reference["name"], "text": text})
        try:
            user = await read_user(artefacts, events)
        except CommandFailed as error:
            opened.append({"name": "user", "error": error.message})
            user = None
    return opened, user


async def open_files(target: Target, events: list[Json], folder: Path | None) -> list[dict[str, Any]]:
    """The charts and files, as `show` prints them; with a folder they are written."""
    files = list_files(events)
    problems: dict[str, str | None] = {}
    if folder is not None:
        async with audit_log.open_artefact_reader(target) as artefacts:
            problems = await _save_files(artefacts, files, folder)
    return [each.describe() | {"error": problems.get(each.file)} for each in files]
