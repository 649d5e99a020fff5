"""Compliance in a what-if: its own handlers, with another pack, prompt or model. No verdict is recorded."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from email import message_from_bytes
from email.policy import default
from functools import partial
from pathlib import Path
from typing import Any

from contracts.documents.opt_out import OPT_OUT_PATH
from contracts.documents.reviews import Review
from contracts.documents.wording import Wording, WordingError, configured_wording
from contracts.events.router import CheckContact, CheckSending, ReviewEmail
from services.specialists.compliance.handlers import check_contact, check_sending, review_email
from services.specialists.compliance.judge import JUDGE_PROMPT, CriterionMark, Judgement, build_judge_agent
from services.specialists.compliance.pack import PACKS_FOLDER, PackError, RulePack, load_pack, released_packs
from services.specialists.compliance.store import VerdictStore
from switchyard.audit.what_if.agents import InvalidWhatIf, NotAnswerable, WhatIfAgent, WhatIfSetup
from switchyard.runtime.core.task import Task, TaskHandler, TaskResult

_BASE = re.compile(rf"<(https?://[^<>\s]+?){OPT_OUT_PATH}/")


class _UnrecordedVerdicts(VerdictStore):
    """Keeps no verdict: each task is decided anew, and a draft counts as passed under the packs in use."""

    def __init__(self, packs: Sequence[RulePack]) -> None:
        self._packs = frozenset(pack.version for pack in packs)

    async def find_recorded(self, task: Any) -> None:
        """None: what was decided then does not count."""

    async def record(self, task: Any, reply: TaskResult, *_: Any, **__: Any) -> TaskResult:
        """The verdict itself."""
        return reply

    async def packs_passed(self, task: Any) -> frozenset[str]:
        """Every pack in use."""
        return self._packs


class _RecordedJudge:
    """Gives the marks that the judge gave then, in place of an agent."""

    def __init__(self, setup: WhatIfSetup) -> None:
        self._setup = setup

    async def run(self, *_: object) -> Any:
        """Raise `NotAnswerable` for a draft that no judge has read."""
        stored = await self._setup.recall("review")
        marks = () if stored is None else Review.model_validate_json(stored).rubric
        if not marks:
            raise NotAnswerable("no judge has read this draft: name a model with --model")
        self.output = Judgement(**{mark.name: CriterionMark(score=mark.score, reason=mark.reason) for mark in marks})
        return self


async def build_what_if(setup: WhatIfSetup) -> Mapping[type[Any], TaskHandler]:
    """The handlers. Raises `InvalidWhatIf` for an unknown rule pack."""
    packs = _released() if setup.pack is None else (find_pack(setup.pack, setup),)
    verdicts = _UnrecordedVerdicts(packs)
    bound: dict[str, Any] = {
        "artefacts": setup.artefacts, "verdicts": verdicts, "clock": setup.clock, "packs": packs,
    }  # fmt: skip
    agent: Any = build_judge_agent(setup.model, setup.prompts["judge"]) if setup.asks else _RecordedJudge(setup)

    async def review(task: Task[ReviewEmail]) -> TaskResult:
        # The link of then is no question here: whether its address is the deployment's was checked.
        header = message_from_bytes(await setup.artefacts.read(task, task.payload.email), policy=default)
        base = _BASE.search(str(header["List-Unsubscribe"] or ""))
        return await review_email(task, **bound, model=setup.model, agent=agent, opt_out_base=base[1] if base else None)

    return {
        CheckContact: partial(check_contact, **bound),
        ReviewEmail: review,
        CheckSending: partial(check_sending, **bound),
    }


def find_pack(name: str, setup: WhatIfSetup) -> RulePack:
    """A released pack by version, or a pack's file, as if it were in force at the moment for everybody. Raises
    `InvalidWhatIf`."""
    try:
        released = {pack.version: pack for pack in _released()}
        pack = released.get(name)
        if pack is None:
            if not Path(name).is_file():
                raise InvalidWhatIf(f"there is no rule pack {name}: name one of {', '.join(released)}, or a file")
            pack = load_pack(Path(name), _wording())
    except PackError as error:
        raise InvalidWhatIf(f"the rule pack {name} is invalid: {error}") from error
    since = min(pack.effective_from, setup.clock.now().date())
    return pack.model_copy(update={"tenants": frozenset(), "effective_from": since})


def _released() -> tuple[RulePack, ...]:
    return released_packs(Path(os.environ.get("SWITCHYARD_RULE_PACKS") or PACKS_FOLDER), _wording())


def _wording() -> Wording:
    try:
        return configured_wording()
    except WordingError as error:
        raise InvalidWhatIf(str(error)) from error


WHAT_IF = WhatIfAgent(
    build_what_if, {"judge": JUDGE_PROMPT}, takes_pack=True, no_difference=("pack", "valid_until"), needs_model=False
)
