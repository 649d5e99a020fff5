"""What becomes of a dead letter, from what the inbox knows of its command."""

from __future__ import annotations

import pytest

from switchyard.protocol.fields import Json
from switchyard.runtime.messaging.dead_letters import (
    MAX_REDRIVES,
    AwaitLease,
    DeadLetterAction,
    FailTask,
    RedriveMessage,
    RepublishOutcome,
    choose_dead_letter_action,
)
from switchyard.runtime.messaging.inbox import InboxProgress

OUTCOME: list[Json] = [{"type": "FindingsReady"}]


def progress(
    outputs: list[Json] | None = None, leased_for: float = 0.0, claims: int = 1, failures: int = 0
) -> InboxProgress:
    return InboxProgress(outputs, leased_for, claims, failures, None)


@pytest.mark.parametrize(
    ("known", "redrives", "decision"),
    [
        pytest.param(progress(OUTCOME), 0, RepublishOutcome(), id="it has an outcome"),
        pytest.param(progress([]), 0, RepublishOutcome(), id="its outcome is that nothing follows"),
        pytest.param(progress(OUTCOME, leased_for=9.0), 0, RepublishOutcome(), id="an outcome outranks a lease"),
        pytest.param(progress(OUTCOME), MAX_REDRIVES, RepublishOutcome(), id="an outcome outranks redrives"),
        pytest.param(progress(leased_for=9.0), 0, AwaitLease(9.0), id="a worker holds it"),
        pytest.param(progress(leased_for=0.001), MAX_REDRIVES, AwaitLease(0.001), id="a lease outranks redrives"),
        pytest.param(None, 0, RedriveMessage(), id="no worker ever saw it"),
        pytest.param(None, MAX_REDRIVES - 1, RedriveMessage(), id="the last redrive"),
        pytest.param(None, MAX_REDRIVES, FailTask(), id="redriven and still never seen"),
        pytest.param(None, MAX_REDRIVES + 1, FailTask(), id="redriven too often"),
        pytest.param(progress(leased_for=0.0), 0, RedriveMessage(), id="its worker is gone and it never failed"),
        pytest.param(
            progress(leased_for=-5.0), MAX_REDRIVES, FailTask(), id="it never failed and was redriven too often"
        ),
        pytest.param(progress(leased_for=0.0, failures=1), 0, FailTask(), id="it failed and ended here"),
        pytest.param(progress(claims=20, failures=2), 0, FailTask(), id="it was tried and ended here"),
    ],
)
def test_dead_letter_action_follows_from_progress_and_redrives(
    known: InboxProgress | None, redrives: int, decision: DeadLetterAction
) -> None:
    assert choose_dead_letter_action(known, redrives) == decision
