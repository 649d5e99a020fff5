"""One case: its steps, how they were timed, what each changed, and whether the chain holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from switchyard.audit.verification.audit_reader import AuditReader, CaseSummary
from switchyard.audit.verification.findings import VerifyReport
from switchyard.console.waterfall import StepTiming, Waterfall, draw_waterfall
from switchyard.protocol.canonical import parse_foreign_json
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.events.case_manager import CaseFeedback
from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)
_WORK_SQL = load_queries(__file__, "work.sql")
MAX_STEPS = 500
_UNSHOWN = frozenset({"storage_refs", "state_seal"})


@dataclass(frozen=True)
class Artefact:
    """A reference to bytes that an event carries. `sealed` are those about a person."""

    name: str
    sha256: str
    media_type: str
    size: int | None
    event_id: str
    sealed: bool


@dataclass(frozen=True)
class StateChange:
    """One entry of the case's state, before and after a step; None where it is absent."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class CaseStep:
    """One transition."""

    row: Mapping[str, Any]
    payload: Any
    model_call: Mapping[str, Any] | None
    changes: tuple[StateChange, ...]
    artefacts: tuple[Artefact, ...]
    task: Mapping[str, Any] | None
    """What the agent's inbox says of the command that caused it."""

    @property
    def failed(self) -> bool:
        """Whether the step reports a failure."""
        return self.row["transition"] in {"TaskFailed", "SubmissionRejected"}


@dataclass(frozen=True)
class CaseDetail:
    """Everything on the page of a case."""

    summary: CaseSummary
    steps: tuple[CaseStep, ...]
    waterfall: Waterfall
    report: VerifyReport
    alarms: tuple[Mapping[str, Any], ...]
    disclosures: tuple[Mapping[str, Any], ...]
    step_count: int
    """How many steps the case has; `steps` are the first of them."""
    work_unavailable: str | None
    """Why the work database did not answer: the page is shown without what it knows."""

    def feedback(self) -> list[Mapping[str, Any]]:
        """What was said about the case, in order: `thumb`, `reviewer` and `at`."""
        given = [step for step in self.steps if step.row["transition"] == CaseFeedback.__name__]
        return [
            {"thumb": each.payload.get("thumb"), "reviewer": each.payload.get("reviewer"), "at": each.row["event_ts"]}
            for each in given
            if isinstance(each.payload, dict)
        ]

    def artefacts(self) -> list[Artefact]:
        """Each artefact once, where it appears first."""
        found: dict[str, Artefact] = {}
        for step in self.steps:
            for artefact in step.artefacts:
                found.setdefault(artefact.sha256, artefact)
        return list(found.values())


@dataclass(frozen=True)
class CaseReader:
    """Reads both databases."""

    log: AuditReader
    audit: Database
    work: Database

    async def read(self, case_id: UUID) -> CaseDetail | None:
        """The case; None if the log does not have it. Raises `Unavailable` if the audit database is away."""
        summary = await self.log.summary(str(case_id))
        if summary is None:
            return None
        audit = self.audit.with_queries(_SQL)
        rows = await audit.rows("steps", case_id)
        alarms = await audit.rows("alarms", case_id)
        report = await self.log.verify(case_id=str(case_id))
        tasks, disclosures, away = await self._work(case_id)
        steps = tuple(_step(row, tasks) for row in rows[:MAX_STEPS])
        return CaseDetail(
            summary, steps, _waterfall(steps, tasks), report, tuple(alarms), tuple(disclosures), len(rows), away
        )

    async def event(self, case_id: UUID, event_id: UUID) -> Mapping[str, Any] | None:
        """One event without its storage references, which hold sealed bytes, and the seal of its state; empty if its
        body is retired, None for an unknown one."""
        row = await self.audit.with_queries(_SQL).row("event", case_id, event_id)
        if row is None:
            return None
        detail = parse_json(row["detail"])
        return (
            {name: value for name, value in detail.items() if name not in _UNSHOWN} if isinstance(detail, dict) else {}
        )

    async def sealed_event(self, case_id: UUID, event_id: UUID) -> Mapping[str, Any] | None:
        """One event with the places of its artefacts, for opening one."""
        row = await self.audit.with_queries(_SQL).row("event", case_id, event_id)
        detail = None if row is None else parse_json(row["detail"])
        return detail if isinstance(detail, dict) else None

    async def _work(self, case_id: UUID) -> tuple[dict[str, Any], list[Any], str | None]:
        work = self.work.with_queries(_WORK_SQL)
        try:
            tasks = {row["event_id"]: row for row in await work.rows("tasks_of_case", case_id)}
            return tasks, await work.rows("disclosures", case_id), None
        except Unavailable as error:
            return {}, [], error.message


def parse_json(text: str | None) -> Any:
    """A JSON document of the log; None without one, or if it cannot be read."""
    if text is None:
        return None
    try:
        return parse_foreign_json(text)
    except InvalidEvent:
        return None


def find_artefacts(value: Any, event_id: str) -> list[Artefact]:
    """The references to artefacts in a payload, at any depth."""
    found: list[Artefact] = []
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, list):
            pending += each
        elif isinstance(each, dict):
            if isinstance(sha256 := each.get("sha256"), str) and isinstance(name := each.get("name"), str):
                size = each.get("size")
                found.append(
                    Artefact(
                        name,
                        sha256,
                        str(each.get("media_type", "")),
                        size if isinstance(size, int) else None,
                        event_id,
                        sealed=each.get("subject") is not None,
                    )
                )
            pending += [inner for inner in each.values() if isinstance(inner, dict | list)]
    return found[::-1]


def find_reference(event: Mapping[str, Any], sha256: str) -> Mapping[str, Any] | None:
    """The reference to an artefact in the payload of an event, at any depth."""
    pending = [event.get("payload")]
    while pending:
        each = pending.pop()
        if isinstance(each, dict):
            if each.get("sha256") == sha256 and "media_type" in each:
                return each
            pending += each.values()
        elif isinstance(each, list):
            pending += each
    return None


def compare_states(before: Any, after: Any) -> tuple[StateChange, ...]:
    """What differs between two states, by path."""
    old, new = _flatten(before), _flatten(after)
    return tuple(
        StateChange(path, old.get(path), new.get(path))
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    )


def _flatten(value: Any) -> dict[str, str]:
    """Leaves by path; an artefact is one leaf."""
    flat: dict[str, str] = {}
    pending = [("", value)] if value is not None else []
    while pending:
        path, each = pending.pop()
        if isinstance(each, dict) and not ("sha256" in each and "name" in each) and each:
            pending += [(f"{path}.{name}".lstrip("."), inner) for name, inner in each.items()]
        elif isinstance(each, list) and each:
            pending += [(f"{path}[{number}]", inner) for number, inner in enumerate(each)]
        elif isinstance(each, dict) and "sha256" in each:
            flat[path] = f"{each.get('name')} {str(each['sha256'])[:12]}…"
        else:
            flat[path] = str(each)
    return flat


def _step(row: Any, tasks: Mapping[str, Any]) -> CaseStep:
    detail = parse_json(row["detail"])
    detail = detail if isinstance(detail, dict) else {}
    call = detail.get("model_call")
    return CaseStep(
        row=row,
        payload=detail.get("payload"),
        model_call=call if isinstance(call, dict) else None,
        changes=compare_states(parse_json(row["pre_state"]), parse_json(row["post_state"])),
        artefacts=tuple(find_artefacts(detail.get("payload"), row["event_id"])),
        task=tasks.get(row["caused_by"] or ""),
    )


def _waterfall(steps: tuple[CaseStep, ...], tasks: Mapping[str, Any]) -> Waterfall:
    if not steps:
        return draw_waterfall((), {}, {})
    opened: datetime = steps[0].row["event_ts"]
    by_digest = {step.row["transcript_hash"]: step for step in steps}
    timings, causes = [], {}
    for step in steps:
        parents = step.row["parents"]
        # A step with several causes began when the last of them had happened.
        found = [by_digest[digest] for digest in parents if digest in by_digest]
        cause = max(found, key=lambda each: each.row["event_ts"], default=None)
        if cause is not None:
            causes[step.row["event_id"]] = cause.row["event_id"]
        timings.append(
            StepTiming(
                event_id=step.row["event_id"],
                node=step.row["node_from"],
                transition=step.row["transition"],
                at_ms=_since(opened, step),
                cause_ms=None if cause is None else _since(opened, cause),
                cause_transition=None if cause is None else cause.row["transition"],
                model_call=step.model_call,
                failed=step.failed,
            )
        )
    work = {name: float(row["work_ms"]) for name, row in tasks.items() if row["work_ms"] is not None}
    return draw_waterfall(timings, work, causes)


def _since(opened: datetime, step: CaseStep) -> float:
    return float((step.row["event_ts"] - opened).total_seconds() * 1_000)
