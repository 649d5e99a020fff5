"""Planned faults: what a rule or a POST to /sim/faults says will go wrong, and for which calls."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from switchyard.devstack.simulators.models.exchange import Prompt, WireName
from switchyard.devstack.simulators.models.plan import (
    Behaviour,
    CallCount,
    FailureResponse,
    Omission,
    ResponsePlan,
    SimulatedMilliseconds,
    StallSeconds,
    TokenRate,
)

FaultLabel = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""One line: labels and names go into response headers."""

_CHANGES = (
    "latency", "tokens_per_second", "stall", "stall_after_tokens", "error", "error_after_tokens", "stop_reason", "omit",
)  # fmt: skip


class ModelFault(BaseModel):
    """How matching calls go: either single faults that combine, or one named distribution. README.md lists them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    planned: FaultLabel = ""
    times: Annotated[int, Field(ge=1)] | None = None
    latency: SimulatedMilliseconds = 0
    tokens_per_second: TokenRate | None = None
    stall: bool = False
    stall_after_tokens: CallCount | None = None
    stall_seconds: StallSeconds = 60
    error: FailureResponse | None = None
    error_after_tokens: CallCount | None = None
    stop_reason: str | None = None
    omit: frozenset[Omission] = frozenset()
    distribution: Behaviour | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        """A bare status is an error; `throttle` is one with status 429."""
        if not isinstance(value, dict):
            return value
        value = dict(value)
        if type(value.get("error")) is int:
            value["error"] = {"status": value["error"]}
        if throttle := value.pop("throttle", None):
            if "error" in value:
                raise ValueError("error and throttle exclude each other: keep one")
            after = throttle.get("retry_after", 1.0) if isinstance(throttle, dict) else 1.0
            value["error"] = {"status": 429, "retry_after_s": after}
        if "error_after_tokens" in value:
            value.setdefault("error", {"status": 500})
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        given = [name for name in _CHANGES if name in self.model_fields_set]
        if self.distribution is not None and given:
            raise ValueError(f"a distribution decides everything itself: remove {', '.join(given)}")
        if self.distribution is None and not given:
            raise ValueError(
                f"says nothing of what shall happen: give a distribution, or some of {', '.join(_CHANGES)}"
            )
        if (self.stall or self.stall_after_tokens is not None) and self.error is not None:
            raise ValueError("a call cannot both stall and fail: keep one, or make two faults with `times`")
        return self

    def plan(self, call: int) -> ResponsePlan:
        """How the matching call with this number goes, counting from 0."""
        if self.distribution is not None:
            return self.distribution.plan(call)
        return ResponsePlan(
            self.latency, self.tokens_per_second, self.stall, self.stall_after_tokens, self.stall_seconds,
            self.error, self.error_after_tokens, self.stop_reason, self.omit,
        )  # fmt: skip


class InjectedFault(ModelFault):
    """A fault given at run time, and the calls it is for; `model` is a glob.

    `numbered_by` is a regular expression whose first group, found in the last user message, is the call's number.
    Without it calls are counted, and a caller that skips some meets other faults than one that does not.
    """

    model: str = "*"
    wire: WireName | None = None
    rule: str | None = None
    numbered_by: re.Pattern[str] | None = None

    def number_in(self, prompt: Prompt) -> int | None:
        """The number that the prompt itself names, if it does."""
        found = self.numbered_by.search(prompt.user) if self.numbered_by else None
        return int(found[1]) if found and found.lastindex and found[1].isdecimal() else None

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
        return self._injected.pop(fault_id, None) is not None

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
