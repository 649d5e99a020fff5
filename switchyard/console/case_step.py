"""One step in which a model was asked: the prompt, what it was given, and the answer beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from switchyard.console.app import BadInput
from switchyard.console.case_detail import Artefact, find_artefacts, find_reference, parse_json
from switchyard.console.sealed import MAX_SHOWN_CHARS, OpenedArtefact, SealedArtefacts
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.models.prompts import find_prompt

_SQL = load_queries(__file__, "case_detail.sql")
MAX_OPENED = 6
"""Artefacts that one reason opens, so that the page stays small; the case's page opens each alone."""


@dataclass(frozen=True)
class OpenedPart:
    """An artefact of the step, opened, or why it cannot be."""

    artefact: Artefact
    opened: OpenedArtefact | None
    why_not: str | None = None


@dataclass(frozen=True)
class StepDetail:
    """Everything on the page of a step. `prompt` is the text of its version, where a release has it."""

    event: Mapping[str, Any]
    causes: tuple[Mapping[str, Any], ...]
    version: str
    prompt: str | None
    given: tuple[Artefact, ...]
    made: tuple[Artefact, ...]


@dataclass(frozen=True)
class StepReader:
    """Reads the log. `prompts` are the released ones, by digest."""

    audit: Database
    sealed: SealedArtefacts
    prompts: Mapping[str, str]

    async def read(self, case_id: UUID, event_id: UUID) -> StepDetail:
        """The step. Raises `BadInput` (404) if the log has no such event with a model call in this case."""
        audit = self.audit.with_queries(_SQL)
        row = await audit.row("event", case_id, event_id)
        event = None if row is None else parse_json(row["detail"])
        call = event.get("model_call") if isinstance(event, dict) else None
        if not isinstance(event, dict) or not isinstance(call, dict):
            raise BadInput("the log has no such step of a model in this case, or its body is retired", 404)
        rows = await audit.rows("causes", case_id, event_id)
        causes = tuple(detail for each in rows if isinstance(detail := parse_json(each["detail"]), dict))
        version = str(call.get("prompt_version") or "")
        return StepDetail(
            event,
            causes,
            version,
            find_prompt(self.prompts, version),
            _distinct(causes),
            _distinct((event,)),
        )

    async def open(
        self, step: StepDetail, *, opened_by: str, reason: str
    ) -> tuple[tuple[OpenedPart, ...], tuple[OpenedPart, ...]]:
        """What the model was given and what the step made of it, each recorded before it is shown. What cannot be
        opened says why. Raises `Unavailable`."""
        # The answer first: a step may have been given more than a page holds.
        made = step.made[: MAX_OPENED - 1]
        given = step.given[: MAX_OPENED - len(made)]
        events = {str(each.get("event_id")): each for each in (*step.causes, step.event)}

        async def open_one(artefact: Artefact) -> OpenedPart:
            event = events[artefact.event_id]
            reference = find_reference(event, artefact.sha256)
            if reference is None:
                return OpenedPart(artefact, None, "its reference is not an artefact's")
            try:
                opened, _ = await self.sealed.open(
                    event, reference, opened_by=opened_by, reason=reason, most=MAX_SHOWN_CHARS // MAX_OPENED
                )
            except BadInput as error:
                return OpenedPart(artefact, None, error.message)
            return OpenedPart(artefact, opened)

        return tuple([await open_one(each) for each in given]), tuple([await open_one(each) for each in made])


def _distinct(events: tuple[Mapping[str, Any], ...]) -> tuple[Artefact, ...]:
    """The artefacts of these events' payloads, each once."""
    found: dict[str, Artefact] = {}
    for event in events:
        for artefact in find_artefacts(event.get("payload"), str(event.get("event_id"))):
            found.setdefault(artefact.sha256, artefact)
    return tuple(found.values())
