"""What the case manager does with a message before any handler has it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from contracts.catalogue import CATALOGUE
from switchyard.case_manager import dispatch
from switchyard.case_manager.dispatch import CaseManager
from switchyard.protocol.errors import InvalidEvent, RejectionReason
from switchyard.protocol.events.router import CloseCase
from tests.unit.protocol.bus_events import delivered, golden


class Recorder:
    """A quarantine, and a release that waits for nothing."""

    def __init__(self) -> None:
        self.kept: list[InvalidEvent] = []

    async def keep(self, raw: str, rejection: InvalidEvent) -> None:
        """Keep the reason."""
        self.kept.append(rejection)

    async def postpone(self, message: Any, rejection: InvalidEvent) -> bool:
        """Never."""
        return False


async def test_event_without_a_handler_is_quarantined_and_names_the_field(monkeypatch: pytest.MonkeyPatch) -> None:
    """An application may declare a flow to the case manager that the engine does not serve."""
    monkeypatch.setattr(
        dispatch, "HANDLERS", {kind: each for kind, each in dispatch.HANDLERS.items() if kind is not CloseCase}
    )
    recorder, unused = Recorder(), Any
    parts: dict[str, Any] = dict.fromkeys(
        (
            "pending",
            "approvals",
            "consents",
            "gathers",
            "suppression",
            "feedback",
            "forgetting",
            "publisher",
            "breaker",
            "redrive",
        ),
        unused,
    )
    manager = CaseManager(
        arrivals=SimpleNamespace(intake=SimpleNamespace(accepts=lambda _: False)),  # type: ignore[arg-type]
        closing=SimpleNamespace(catalogue=CATALOGUE),  # type: ignore[arg-type]
        quarantine=recorder,
        rollout=recorder,  # type: ignore[arg-type]
        **parts,
    )
    message: Any = SimpleNamespace(raw_body=delivered(golden("CloseCase")))
    await manager.handle(message)
    [rejection] = recorder.kept
    assert (rejection.reason, rejection.field) == (RejectionReason.UNKNOWN, "type")
    assert "no handler for CloseCase" in rejection.message
