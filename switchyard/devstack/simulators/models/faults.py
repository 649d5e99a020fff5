"""Planned trouble: what a rule or a POST to /sim/faults says shall go wrong, and for which calls."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from switchyard.devstack.simulators.models.distributions import Distribution, SimulatedMilliseconds
from switchyard.devstack.simulators.models.exchange import Prompt, WireName
from switchyard.devstack.simulators.models.plan import FailureResponse, ResponsePlan

FaultLabel = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""One line: labels and names go into response headers."""

_TIMING = ("latency", "tokens_per_second", "stall", "stall_after_tokens", "error", "throttle", "error_after_tokens")


class ErrorSpec(BaseModel):
    """An error as the service would answer it; what is left out is what the wire says for that status."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: Annotated[int, Field(ge=400, le=599)]
    code: str | None = None
    message: str | None = None


class Throttle(BaseModel):
    """A refusal with status 429."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    retry_after: Annotated[float, Field(ge=0)] = 1.0
    """Seconds. Only OpenAI's wire carries it: Bedrock names no time."""


class ModelFault(BaseModel):
    """How matching calls go: either single faults that combine, or one named distribution."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    planned: FaultLabel = ""
    """A label, shown wherever the fault shows, so that nobody takes it for a real one."""
    times: Annotated[int, Field(ge=1)] | None = None
    """Only the first so many matching calls."""
    latency: SimulatedMilliseconds = 0
    """Milliseconds before the first token."""
    tokens_per_second: Annotated[float, Field(gt=0)] | None = None
    stall: bool = False
    """Send nothing, not even headers, until the client leaves."""
    stall_after_tokens: Annotated[int, Field(ge=0)] | None = None
    """Send so many tokens, then nothing until the client leaves."""
    stall_seconds: Annotated[float, Field(gt=0, le=600)] = 60
    """A stall ends after this long at the latest."""
    error: ErrorSpec | None = None
    throttle: Throttle | None = None
    error_after_tokens: Annotated[int, Field(ge=0)] | None = None
    """The error (by default status 500) comes in the open stream after so many tokens."""
    distribution: Distribution | None = None

    @field_validator("error", mode="before")
    @classmethod
    def _expand_bare_status(cls, value: object) -> object:
        return {"status": value} if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("throttle", mode="before")
    @classmethod
    def _accept_only_bool(cls, value: object) -> object:
        if isinstance(value, bool):
            return {} if value else None
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        given = [name for name in _TIMING if name in self.model_fields_set]
        if self.distribution is not None and given:
            raise ValueError(f"a distribution decides everything itself: remove {', '.join(given)}")
        if self.distribution is None and not given:
            raise ValueError(f"says nothing of what shall happen: give a distribution, or some of {', '.join(_TIMING)}")
        if self.error is not None and self.throttle is not None:
            raise ValueError("error and throttle exclude each other: keep one")
        fails = self.error is not None or self.throttle is not None or self.error_after_tokens is not None
        stalls = self.stall or self.stall_after_tokens is not None
        if stalls and fails:
            raise ValueError("a call cannot both stall and fail: keep one, or make two faults with `times`")
        if self.stall and self.stall_after_tokens is not None:
            raise ValueError("stall and stall_after_tokens exclude each other: keep one")
        return self

    def plan(self, call: int) -> ResponsePlan:
        """How the matching call with this number goes, counting from 0."""
        if self.distribution is not None:
            return self.distribution.plan(call)
        return ResponsePlan(
            first_token_ms=self.latency,
            tokens_per_second=self.tokens_per_second,
            stall=self.stall,
            stall_after_tokens=self.stall_after_tokens,
            stall_seconds=self.stall_seconds,
            failure=self._failure(),
            error_after_tokens=self.error_after_tokens,
        )

    def _failure(self) -> FailureResponse | None:
        if self.throttle is not None:
            return FailureResponse(429, retry_after_s=self.throttle.retry_after)
        if self.error is not None:
            return FailureResponse(self.error.status, self.error.code, self.error.message)
        return FailureResponse(500) if self.error_after_tokens is not None else None


class InjectedFault(ModelFault):
    """A fault given at run time, and the calls it is for."""

    model: str = "*"
    """A glob over model ids, as the shell matches file names."""
    wire: WireName | None = None
    rule: str | None = None
    numbered_by: str | None = None
    """A regular expression whose first group, found in the last user message, is the call's number. Without it calls
    are counted, so that a caller who skips some meets other trouble than one who does not."""

    @field_validator("numbered_by")
    @classmethod
    def _require_number_group(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                groups = re.compile(value).groups
            except re.error as error:
                raise ValueError(f"is no regular expression: {error}") from None
            if groups < 1:
                raise ValueError("needs a group for the number, such as call (\\d+)")
        return value

    def number_in(self, prompt: Prompt) -> int | None:
        """The number that the prompt itself names, if it does."""
        found = re.search(self.numbered_by, prompt.user) if self.numbered_by else None
        return int(found[1]) if found and found[1].isdecimal() else None

    def applies_to(self, prompt: Prompt, rule: str | None) -> bool:
        """Whether this call is one of those meant."""
        return (
            (self.wire is None or self.wire == prompt.wire)
            and (self.rule is None or self.rule == rule)
            and fnmatchcase(prompt.model, self.model)
        )


@dataclass(frozen=True, slots=True)
class FaultDecision:
    """How one call goes, and the label of the fault that says so, if any."""

    plan: ResponsePlan
    planned: str | None = None


_UNDISTURBED = FaultDecision(ResponsePlan())


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
        """How this call goes: by the newest injected fault that concerns it, else by its rule's own fault."""
        for fault_id, fault in reversed(self._injected.items()):
            if fault.applies_to(prompt, rule):
                course = self._meet(fault_id, fault, fault.number_in(prompt))
                if course is not None:
                    return course
        if own is not None and rule is not None and (course := self._meet(rule, own)) is not None:
            return course
        return _UNDISTURBED

    def _meet(self, key: int | str, fault: ModelFault, number: int | None = None) -> FaultDecision | None:
        call = self._met[key]
        if fault.times is not None and call >= fault.times:
            return None
        self._met[key] += 1
        return FaultDecision(fault.plan(call if number is None else number), fault.planned or "unlabelled")
