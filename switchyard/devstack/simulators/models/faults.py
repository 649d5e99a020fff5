"""Planned faults: what a rule or a POST to /sim/faults says will go wrong, and for which calls."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from switchyard.devstack.simulators.models.exchange import Prompt, WireName
from switchyard.devstack.simulators.models.plan import (
    CallCount,
    Distribution,
    FailureResponse,
    Omission,
    ResponsePlan,
    SimulatedMilliseconds,
    StallSeconds,
    TokenRate,
)

FaultLabel = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""One line: labels and names go into response headers."""

_TIMING = ("latency", "tokens_per_second", "stall", "stall_after_tokens", "error", "throttle", "error_after_tokens")
_ENDING = ("stop_reason", "omit")


class _FaultPart(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ErrorSpec(_FaultPart):
    """An error as the service would answer it; what is left out is what the wire says for that status."""

    status: Annotated[int, Field(ge=400, le=599)]
    code: str | None = None
    message: str | None = None


class Throttle(_FaultPart):
    """A refusal with status 429. The time is in seconds; only OpenAI's wire carries it."""

    retry_after: Annotated[float, Field(ge=0)] = 1.0


class ModelFault(_FaultPart):
    """How matching calls go: either single faults that combine, or one named distribution. README.md has a table."""

    planned: FaultLabel = ""
    times: Annotated[int, Field(ge=1)] | None = None
    latency: SimulatedMilliseconds = 0
    tokens_per_second: TokenRate | None = None
    stall: bool = False
    stall_after_tokens: CallCount | None = None
    stall_seconds: StallSeconds = 60
    error: ErrorSpec | None = None
    throttle: Throttle | None = None
    error_after_tokens: CallCount | None = None
    stop_reason: str | None = None
    omit: frozenset[Omission] = frozenset()
    distribution: Distribution | None = None

    @field_validator("error", mode="before")
    @classmethod
    def _expand_bare_status(cls, value: Any) -> Any:
        return {"status": value} if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("throttle", mode="before")
    @classmethod
    def _expand_bool(cls, value: Any) -> Any:
        return ({} if value else None) if isinstance(value, bool) else value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        given = [name for name in (*_TIMING, *_ENDING) if name in self.model_fields_set]
        if self.distribution is not None and given:
            raise ValueError(f"a distribution decides everything itself: remove {', '.join(given)}")
        if self.distribution is None and not given:
            raise ValueError(
                f"says nothing of what shall happen: give a distribution, or some of {', '.join((*_TIMING, *_ENDING))}"
            )
        if self.error is not None and self.throttle is not None:
            raise ValueError("error and throttle exclude each other: keep one")
        stalls = self.stall or self.stall_after_tokens is not None
        if stalls and self._failure() is not None:
            raise ValueError("a call cannot both stall and fail: keep one, or make two faults with `times`")
        if self.stall and self.stall_after_tokens is not None:
            raise ValueError("stall and stall_after_tokens exclude each other: keep one")
        return self

    def plan(self, call: int) -> ResponsePlan:
        """How the matching call with this number goes, counting from 0."""
        if self.distribution is not None:
            return self.distribution.plan(call)
        return ResponsePlan(
            self.latency, self.tokens_per_second, self.stall, self.stall_after_tokens, self.stall_seconds,
            self._failure(), self.error_after_tokens, self.stop_reason, self.omit,
        )  # fmt: skip

    def _failure(self) -> FailureResponse | None:
        if self.throttle is not None:
            return FailureResponse(429, retry_after_s=self.throttle.retry_after)
        if self.error is not None:
            return FailureResponse(self.error.status, self.error.code, self.error.message)
        return FailureResponse(500) if self.error_after_tokens is not None else None


class InjectedFault(ModelFault):
    """A fault given at run time, and the calls it is for; `model` is a glob.

    `numbered_by` is a regular expression whose first group, found in the last user message, is the call's number.
    Without it calls are counted, and a caller that skips some meets other faults than one that does not.
    """

    model: str = "*"
    wire: WireName | None = None
    rule: str | None = None
    numbered_by: str | None = None

    @field_validator("numbered_by")
    @classmethod
    def _require_number_group(cls, value: str | None) -> str | None:
        try:
            if value is not None and re.compile(value).groups < 1:
                raise ValueError("needs a group for the number, such as call (\\d+)")
        except re.error as error:
            raise ValueError(f"is not a regular expression: {error}") from None
        return value

    def number_in(self, prompt: Prompt) -> int | None:
        """The number that the prompt itself names, if it does."""
        found = re.search(self.numbered_by, prompt.user) if self.numbered_by else None
        return int(found[1]) if found and found[1].isdecimal() else None

    def applies_to(self, prompt: Prompt, rule: str | None) -> bool:
        """Whether it is for this call."""
        return self.wire in {None, prompt.wire} and self.rule in {None, rule} and fnmatchcase(prompt.model, self.model)


@dataclass(frozen=True, slots=True)
class FaultDecision:
    """How one call goes, and the label of the fault that says so, if any."""

    plan: ResponsePlan
    planned: str | None = None


class FaultBoard:
    """The faults in force, and how often each has been met."""

    def __init__(self) -> None:
        self._injected: dict[int, InjectedFault] = {}
        self._met: Counter[int | str] = Counter()
        self._last_id = 0

    def inject(self, fault: InjectedFault) -> int:
        """Put a fault in force; the newest comes first. Returns its id."""
        self._last_id += 1
        self._injected[self._last_id] = fault
        return self._last_id

    def remove(self, fault_id: int) -> bool:
        """Take one injected fault back. Returns whether there was one."""
        self._met.pop(fault_id, None)
        return self._injected.pop(fault_id, None) is not None

    def clear(self) -> None:
        """Take all injected faults back and count from the start."""
        self._injected.clear()
        self._met.clear()

    def list_faults(self) -> list[dict[str, object]]:
        """The injected faults, newest first, with how often each was met."""
        return [
            {"id": fault_id, "met": self._met[fault_id], **fault.model_dump(mode="json", exclude_unset=True)}
            for fault_id, fault in reversed(self._injected.items())
        ]

    def decide(self, prompt: Prompt, rule: str | None, own: ModelFault | None) -> FaultDecision:
        """How this call goes: by the newest injected fault that applies to it, else by its rule's own fault."""
        candidates: list[tuple[int | str, ModelFault, int | None]] = [
            (fault_id, fault, fault.number_in(prompt))
            for fault_id, fault in reversed(self._injected.items())
            if fault.applies_to(prompt, rule)
        ]
        if own is not None and rule is not None:
            candidates.append((rule, own, None))
        for key, fault, number in candidates:
            call = self._met[key]
            if fault.times is None or call < fault.times:
                self._met[key] += 1
                return FaultDecision(fault.plan(call if number is None else number), fault.planned or "unlabelled")
        return FaultDecision(ResponsePlan())
