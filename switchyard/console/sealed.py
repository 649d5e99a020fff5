"""Opening what is sealed: one artefact at a time, with a reason that is recorded before anything is shown."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from pydantic import ValidationError

from switchyard.console.app import BadInput
from switchyard.protocol.fields import Artefact, StorageRef
from switchyard.runtime.core.errors import TaskError, Unavailable
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.storage.artefacts import Artefacts

_SQL = load_queries(__file__, "work.sql")
ArtefactText = Callable[[bytes], str]
ArtefactPage = Callable[[bytes], str | None]
MAX_SHOWN_CHARS = 60_000
"""So that a page stays below 150 kB."""


@dataclass(frozen=True)
class OpenedArtefact:
    """What a person reads. `kind` says how it is shown; `html` is how its reader will see it."""

    name: str
    media_type: str
    kind: Literal["text", "image", "binary"]
    text: str
    source: str | None = None
    html: str | None = None
    cut: bool = False
    exact: bool = False
    """Whether `source` is every byte as it is."""
    unrendered: bool = False
    """Whether it holds HTML that is not shown as its reader sees it."""

    @property
    def whole(self) -> bool:
        """Whether a person sees all that would take effect."""
        return not self.cut and not self.unrendered


@dataclass(frozen=True)
class SealedArtefacts:
    """Opens artefacts. `texts` say how a person reads an artefact of some name, `pages` how its reader sees it."""

    artefacts: Artefacts
    work: Database
    texts: Mapping[str, ArtefactText]
    pages: Mapping[str, ArtefactPage]

    async def open(
        self,
        event: Mapping[str, Any],
        reference: Mapping[str, Any],
        *,
        opened_by: str,
        reason: str,
        most: int | None = None,
    ) -> tuple[OpenedArtefact, bytes]:
        """Record who opens it and why, then open it; at most `most` characters are shown. Raises `BadInput` with the
        cause, or `Unavailable`."""
        try:
            artefact = Artefact.model_validate(reference)
            places = {
                sha256: StorageRef.model_validate(place) for sha256, place in (event.get("storage_refs") or {}).items()
            }
        except (ValidationError, AttributeError) as error:
            raise BadInput("the event's reference to this artefact is invalid") from error
        case_id = str(event["case_id"])
        await self.work.with_queries(_SQL).execute(
            "record_disclosure", UUID(case_id), artefact.name, artefact.sha256, opened_by, reason
        )
        try:
            data = await self.artefacts.read_from(places, case_id, artefact)
        except Unavailable:
            raise
        except TaskError as error:
            raise BadInput(f"{artefact.name} cannot be opened: {error.message}", 409) from error
        return self.describe(artefact.name, artefact.media_type, data, most), data

    def describe(self, name: str, media_type: str, data: bytes, most: int | None = None) -> OpenedArtefact:
        """How an artefact is shown. Never raises: what cannot be read is shown as it is."""
        most = most or MAX_SHOWN_CHARS
        source = data.decode("utf-8", "replace")
        if media_type == "image/svg+xml":
            # As an image, in which no script runs and nothing is loaded.
            address = "data:image/svg+xml;base64," + base64.b64encode(data).decode()
            return OpenedArtefact(
                name, media_type, "image", address, source[:most], exact=_is_exact(data, source, most)
            )
        text = self._text(name, media_type, data, source)
        if text is None:
            return OpenedArtefact(name, media_type, "binary", f"{len(data)} bytes that are not text")
        html = self._page(name, data)
        shown_source = source[:most] if source != text else None
        return OpenedArtefact(
            name,
            media_type,
            "text",
            text[:most],
            shown_source,
            html,
            cut=max(len(source), len(text)) > most,
            exact=_is_exact(data, source, most),
            unrendered=name in self.pages and html is None and b"text/html" in data.lower(),
        )

    def _page(self, name: str, data: bytes) -> str | None:
        if (reader := self.pages.get(name)) is None:
            return None
        try:
            return reader(data)
        except Exception:  # noqa: BLE001 (the boundary: any error that the bytes make the application's reader raise)
            return None

    def _text(self, name: str, media_type: str, data: bytes, source: str) -> str | None:
        if reader := self.texts.get(name):
            try:
                return reader(data)
            except Exception:  # noqa: BLE001 (the boundary: any error that the bytes make the application's reader raise)
                return source
        if media_type == "application/json" or media_type.endswith("+json"):
            try:
                return json.dumps(json.loads(data), indent=2, ensure_ascii=False)
            except (ValueError, RecursionError):
                return source
        return source if media_type.startswith(("text/", "message/")) else None


def _is_exact(data: bytes, source: str, most: int) -> bool:
    return len(source) <= most and source.encode() == data
