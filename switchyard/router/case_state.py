"""The state of a case, as the router hands it out sealed. Control facts only: results are artefacts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from switchyard.protocol.branches import BranchFailure, BranchResult, PlannedBranch
from switchyard.protocol.fields import Contract, Json, Name
from switchyard.router.playbook import CasePlace

NOT_STARTED = "not_started"
"""The code of a branch that waited for the findings of one that failed."""


class BranchPlan(Contract):
    """What a case that has fanned out is to do, and what became of it so far."""

    mode: Literal["parallel", "sequence"]
    branches: tuple[PlannedBranch, ...]
    results: tuple[BranchResult, ...] = ()

    @property
    def next_branches(self) -> tuple[PlannedBranch, ...]:
        """The branches to begin now; none if all have ended or cannot begin."""
        left = self.branches[len(self.results) :]
        if self.mode == "parallel":
            return left
        return left[:1] if all(result.failure is None for result in self.results) else ()

    @property
    def has_result(self) -> bool:
        """Whether any branch has found something."""
        return any(result.answer is not None for result in self.results)

    def all_results(self) -> list[Json]:
        """The results in the order of the branches, as JSON; a branch that could not begin says so."""
        why = BranchFailure(code=NOT_STARTED, message="It needed the findings of an earlier step, which failed.")
        left = [
            BranchResult(agent=branch.agent, part=branch.part, failure=why)
            for branch in self.branches[len(self.results) :]
        ]
        return [result.model_dump(mode="json", exclude_none=True) for result in (*self.results, *left)]


class CaseState(Contract):
    """What the router must remember of a case."""

    step: Name = Field(description="The step that is under way.")
    node: Name = Field(description="Who must answer it.")
    agent: Name | None = None
    artefacts: dict[str, JsonValue] = Field(default_factory=dict, description="References, by their field.")
    facts: dict[str, JsonValue] | None = Field(default=None, description="What a step is granted, by its field.")
    taken: dict[str, int] | None = Field(default=None, description="How often it took each counted edge.")
    plan: BranchPlan | None = Field(default=None, description="Of a gather: all of its branches.")
    gather: Name | None = Field(default=None, description="In a branch: the step that waits for it.")

    @property
    def place(self) -> CasePlace:
        """Where the case is, for the playbook's edges."""
        known = {*self.artefacts, *(self.facts or {}), *(("agent",) if self.agent else ())}
        return CasePlace(self.step, self.taken or {}, frozenset(known))
