"""What the API answers, typed. Fields that this version does not know are left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar

from switchyard_client.errors import Unreachable

_Read = TypeVar("_Read")


@dataclass(frozen=True)
class Submitted:
    """A question that was accepted. `grant` is what the agents read with."""

    case_id: str
    session_id: str
    grant: str


@dataclass(frozen=True)
class Consent:
    """What the case waits for: a log-in that renews `grant`."""

    grant: str
    until: str
    url: str = ""


@dataclass(frozen=True)
class Rejection:
    """Why a submission was refused after it was accepted."""

    code: str
    message: str
    at: str
    field: str | None = None
    remedy: str | None = None


@dataclass(frozen=True)
class Feedback:
    """What was said about a case."""

    thumb: str
    reviewer: bool
    at: str


@dataclass(frozen=True)
class Artefact:
    """A result that can be fetched: findings with figures, a chart, a file."""

    name: str
    media_type: str
    sha256: str
    url: str


@dataclass(frozen=True)
class Case:
    """One case. `status` is open, waiting, closed, unended or rejected; `answer` is there once it is closed, usually
    with `text` and `citations`."""

    case_id: str
    status: str
    session_id: str | None = None
    position: int = 0
    outcome: str | None = None
    code: str | None = None
    message: str | None = None
    field: str | None = None
    remedy: str | None = None
    opened_at: str | None = None
    closed_at: str | None = None
    deadline: str | None = None
    consent: Consent | None = None
    answer: Any = None
    answer_problem: str | None = None
    artefacts: tuple[Artefact, ...] = ()
    feedback: Feedback | None = None
    rejections: tuple[Rejection, ...] = ()

    @property
    def text(self) -> str:
        """The answer as text; empty without one."""
        return str(self.answer.get("text", "")) if isinstance(self.answer, dict) else str(self.answer or "")


@dataclass(frozen=True)
class ListedCase:
    """One case in the list."""

    case_id: str
    session_id: str
    status: str
    opened_at: str
    outcome: str | None = None


@dataclass(frozen=True)
class CasePage:
    """A page of the user's cases, the latest first. `next` is given to `cases` for the next page."""

    cases: tuple[ListedCase, ...]
    next: str | None = None


@dataclass(frozen=True)
class CaseEvent:
    """One event of a case. `position` counts from 1 without a gap."""

    position: int
    seq: int
    event_id: str
    type: str
    node_from: str
    node_to: str
    at: str
    digest: str
    detail: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class MemoryUse:
    """A case that a memory was used in."""

    case_id: str
    at: str


@dataclass(frozen=True)
class Memory:
    """One thing that is remembered of the user. `kind` is turn, slot or note; `case_id` is its source. What it says is
    there if it was read by itself: `text`, or the `parts` of a turn, such as `question` and `answer`."""

    id: str
    kind: str
    about: str
    case_id: str
    kept_at: str
    expires_at: str
    trust: str = ""
    quarantined: bool = False
    uses: int = 0
    text: str | None = None
    parts: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None
    used_in: tuple[MemoryUse, ...] = ()


@dataclass(frozen=True)
class Forgetting:
    """What became of a request to forget. `status` is open or done; `forgotten` is how many things were."""

    request_id: str
    scope: str
    status: str
    asked_at: str
    memory: str | None = None
    done_at: str | None = None
    forgotten: int | None = None


def _of_the_api(read: Callable[[Mapping[str, Any]], _Read]) -> Callable[[Mapping[str, Any]], _Read]:
    """Raises `Unreachable` for JSON that is not the API's."""

    @wraps(read)
    def reader(body: Mapping[str, Any]) -> _Read:
        try:
            return read(body)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Unreachable("what answered is not the API: its answer has other fields") from error

    return reader


@_of_the_api
def read_memory(body: Mapping[str, Any]) -> Memory:
    """A memory from its JSON."""
    used_in = tuple(MemoryUse(**_known(MemoryUse, each)) for each in body.get("used_in", ()))
    return Memory(**_known(Memory, body) | {"used_in": used_in})


@_of_the_api
def read_memories(body: Mapping[str, Any]) -> tuple[Memory, ...]:
    """What is remembered, from its JSON."""
    return tuple(read_memory(each) for each in body["memories"])


@_of_the_api
def read_forgetting(body: Mapping[str, Any]) -> Forgetting:
    """What became of a request, from its JSON."""
    return Forgetting(**_known(Forgetting, body))


@_of_the_api
def read_case(body: Mapping[str, Any]) -> Case:
    """A case from its JSON."""
    consent = body.get("consent")
    nested = {
        "consent": None if consent is None else Consent(**_known(Consent, consent)),
        "feedback": None if body.get("feedback") is None else Feedback(**_known(Feedback, body["feedback"])),
        "artefacts": tuple(Artefact(**_known(Artefact, each)) for each in body.get("artefacts", ())),
        "rejections": tuple(Rejection(**_known(Rejection, each)) for each in body.get("rejections", ())),
    }
    return Case(**_known(Case, body) | nested)


@_of_the_api
def read_page(body: Mapping[str, Any]) -> CasePage:
    """A page of cases from its JSON."""
    return CasePage(tuple(ListedCase(**_known(ListedCase, each)) for each in body["cases"]), body.get("next"))


@_of_the_api
def read_event(body: Mapping[str, Any]) -> CaseEvent:
    """An event from its JSON."""
    return CaseEvent(**_known(CaseEvent, body))


@_of_the_api
def read_submitted(body: Mapping[str, Any]) -> Submitted:
    """The answer to a question from its JSON."""
    return Submitted(**_known(Submitted, body))


def _known(model: type[Any], body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name in model.__dataclass_fields__}
