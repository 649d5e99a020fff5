"""What callers get: the bodies of answers, from which the OpenAPI document is made."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

CaseStatus = Literal["open", "waiting", "closed", "unended", "rejected"]


class ApiView(BaseModel):
    """A body of an answer. Fields may be added; times are RFC 3339 in UTC."""

    model_config = ConfigDict(frozen=True)


class ListedCase(ApiView):
    """One case in the list."""

    case_id: str
    session_id: str
    status: CaseStatus = Field(description="`waiting` is shown by the case itself only.")
    outcome: str | None = None
    opened_at: str


class CaseListView(ApiView):
    """The caller's own cases, the latest first."""

    cases: list[ListedCase]
    next: str | None = Field(default=None, description="The path of the next page; null on the last one.")


class ConsentView(ApiView):
    """The case waits for its user to log in again and consent."""

    grant: str = Field(description="What `POST /v1/consents` takes.")
    until: str
    url: str = Field(default="", description="Where to give it.")


class RejectionView(ApiView):
    """A submission under this id that the case manager refused after it was accepted."""

    code: str
    message: str
    field: str | None = None
    remedy: str | None = None
    at: str


class FeedbackView(ApiView):
    """What somebody said about the case."""

    thumb: Literal["up", "down"]
    reviewer: bool = Field(description="Whether it was a reviewer, and not the person who asked.")
    at: str


class ArtefactView(ApiView):
    """A result that may be fetched: findings with their figures, a chart, a file."""

    name: str
    media_type: str
    sha256: str
    url: str = Field(description="The path that answers with its bytes.")


class CaseView(ApiView):
    """One case, with its answer once there is one."""

    case_id: str
    session_id: str | None = None
    status: CaseStatus
    outcome: str | None = None
    code: str | None = Field(default=None, description="The reason of the outcome, for programs.")
    message: str | None = None
    field: str | None = None
    remedy: str | None = None
    opened_at: str | None = None
    closed_at: str | None = None
    deadline: str | None = None
    position: int = Field(default=0, description="Of the latest event: the `id` in the stream of events.")
    consent: ConsentView | None = None
    answer: JsonValue = Field(default=None, description="The answer's document, usually with `text` and `citations`.")
    answer_problem: str | None = Field(default=None, description="Why there is an answer and it cannot be read.")
    artefacts: list[ArtefactView] = []
    feedback: FeedbackView | None = Field(default=None, description="The latest.")
    rejections: list[RejectionView] = []


class MemoryView(ApiView):
    """One thing that is remembered of the caller."""

    id: str
    kind: Literal["turn", "slot", "note"] = Field(description="A turn of a session, a preference, or a free note.")
    about: str = Field(description="Of a turn the session, of a preference its name.")
    case_id: str = Field(description="Its source: the case in which the caller said it.")
    kept_at: str
    expires_at: str = Field(description="When it is forgotten, unless the caller says it again.")
    trust: str = Field(description="`stated`: a rule read it in what the caller said; `read`: a model did.")
    quarantined: bool = Field(description="It reads like an order: it is never used.")
    uses: int = Field(description="How often it was used. Turns are not counted.")


class MemoryListView(ApiView):
    """What is remembered of the caller, the latest first: 500 at most."""

    memories: list[MemoryView]
    total: int


class MemoryUseView(ApiView):
    """A case that a memory was used in."""

    case_id: str
    at: str


class MemoryDetailView(MemoryView):
    """One memory with what it says."""

    text: str | None = Field(default=None, description="Of a preference or a note.")
    parts: dict[str, str] = Field(default={}, description="Of a turn: its texts, each under the name of its artefact.")
    problem: str | None = Field(default=None, description="Why it cannot be read.")
    used_in: list[MemoryUseView] = Field(
        default=[], description="The caller's cases that it was used in, the latest 100."
    )


class ForgettingView(ApiView):
    """What became of a request to forget. `MemoryForgotten` in the log is its receipt."""

    request_id: str
    scope: Literal["one", "all"]
    memory: str | None = None
    status: Literal["open", "done"]
    asked_at: str
    done_at: str | None = None
    forgotten: int | None = Field(default=None, description="How many things were forgotten.")


class EventView(ApiView):
    """One event of a case. `position` counts the events of the case from 1 without a gap, in the order of the log."""

    position: int
    seq: int = Field(description="The length of the longest chain of causes; branches have equal ones.")
    event_id: str
    type: str
    node_from: str
    node_to: str
    at: str
    digest: str = Field(description="Of the event in the hash chain.")
    detail: dict[str, JsonValue] | None = Field(default=None, description="What callers see of the event's content.")


class EndView(ApiView):
    """The case has ended, and so does the stream."""

    outcome: str
    position: int
