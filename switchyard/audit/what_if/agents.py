"""How an agent's own handlers run again without effect: recorded artefacts in, results kept in memory."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from switchyard.protocol.fields import Artefact, Contract, StorageRef
from switchyard.runtime.core.clock import SystemClock
from switchyard.runtime.core.errors import PermanentTaskError, TaskError
from switchyard.runtime.core.task import Task, TaskHandler
from switchyard.runtime.storage.artefacts import Artefacts


class NotAnswerable(Exception):
    """The what-if cannot say what would have happened: the text says what is missing."""


class InvalidWhatIf(ValueError):
    """What was asked for does not exist, such as a rule pack: the text says what does."""


class FixedClock(SystemClock):
    """The moment of then: what rules and dates of a draft are computed with."""

    def __init__(self, moment: datetime) -> None:
        self._moment = moment

    def now(self) -> datetime:
        return self._moment


class UnaskedModel:
    """In place of a model in a what-if that asks none."""

    def configuration(self) -> dict[str, Any]:
        """None."""
        return {}

    @contextmanager
    def budget(self, *_: object, **__: object) -> Iterator[SimpleNamespace]:
        """Nothing is spent."""
        yield SimpleNamespace(decisions=[])

    async def run(self, *_: object, **__: object) -> Any:
        """Raise `NotAnswerable`: in place of an agent, too."""
        raise NotAnswerable("no model is asked: name one with --model")


class ScratchArtefacts(Artefacts):
    """Reads what the log has, and what the what-if itself has written, which never leaves this process's memory."""

    def __init__(self, recorded: Artefacts) -> None:
        """`recorded` reads as a reviewer."""
        self._recorded = recorded
        self._written: dict[str, bytes] = {}
        self.unreadable: list[str] = []
        """What could not be read of the log, and why."""

    async def read(self, task: Task[Contract], artefact: Artefact) -> bytes:
        """The plain bytes. Raises `PermanentTaskError`, which is remembered: a handler may go on without them."""
        return await self.read_recorded(task.storage_refs, task.envelope.case_id, artefact)

    async def read_recorded(self, places: Mapping[str, StorageRef], case_id: str, artefact: Artefact) -> bytes:
        """The plain bytes of an artefact of a case. Raises like `read`."""
        if artefact.sha256 in self._written:
            return self._written[artefact.sha256]
        try:
            return await self._recorded.read_from(places, case_id, artefact)
        except TaskError as error:
            self.unreadable.append(f"{artefact.name}: {error.message}")
            raise

    async def store(self, case_id: str, name: str, data: bytes, **options: Any) -> tuple[Artefact, StorageRef]:
        """Keep the plain bytes here. The reference looks as if it were sealed, as handlers check."""
        sha256 = hashlib.sha256(data).hexdigest()
        self._written[sha256] = data
        artefact = Artefact(
            name=name,
            sha256=sha256,
            size=len(data),
            media_type=options["media_type"],
            subject=options.get("subject"),
        )
        return artefact, StorageRef(inline=base64.b64encode(b"kept by the what-if").decode())

    async def open_sealed(self, *_: object) -> bytes:
        """Nothing that intake sealed is opened again."""
        raise PermanentTaskError("not_opened", "a what-if opens no facts of intake")


@dataclass(frozen=True)
class WhatIfSetup:
    """What the handlers of one task are made with."""

    artefacts: ScratchArtefacts
    model: Any
    """A `FailoverModel`, or an `UnaskedModel`, which is an agent without a model, too."""
    prompts: Mapping[str, str]
    """The agent's prompts by name, those of the what-if in place of today's."""
    pack: str | None
    """The rule pack by version or file; None for that of then."""
    clock: FixedClock
    recall: Callable[[str], Awaitable[bytes | None]]
    """An artefact of the recorded answer, by its field; None if the answer is not recorded, or has none."""

    @property
    def asks(self) -> bool:
        """Whether a model is asked."""
        return not isinstance(self.model, UnaskedModel)


@dataclass(frozen=True)
class WhatIfAgent:
    """An agent whose tasks can be run again: `App.what_if` names one for each."""

    build: Callable[[WhatIfSetup], Awaitable[Mapping[type[Any], TaskHandler]]]
    """The handlers. May raise `InvalidWhatIf`."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    takes_pack: bool = False
    """Whether a rule pack decides in it."""
    no_difference: tuple[str, ...] = ()
    """Fields of its answers that differ without a difference: the name of the configuration, moments of the run."""
    needs_model: bool = True
    """Whether it can say nothing without a model."""
