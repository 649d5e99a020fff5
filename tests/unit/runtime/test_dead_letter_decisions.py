"""What becomes of a dead letter, from what the inbox knows of its command."""

from __future__ import annotations

import pytest

from switchyard.protocol.fields import Json
from switchyard.runtime.messaging.dead_letters import MAX_REDRIVES, Decision, Fail, Redrive, Republish, Wait, decide
from switchyard.runtime.messaging.inbox import Progress

OUTCOME: list[Json] = [{"type": "FindingsReady"}]


def progress(
    outputs: list[Json] | None = None, leased_for: float = 0.0, claims: int = 1, failures: int = 0
) -> Progress:
    return Progress(outputs, leased_for, claims, failures, None)


@pytest.mark.parametrize(
    ("known", "redrives", "decision"),
    [
        pytest.param(progress(OUTCOME), 0, Republish(), id="it has an outcome"),
        pytest.param(progress([]), 0, Republish(), id="its outcome is that nothing follows"),
        pytest.param(progress(OUTCOME, leased_for=9.0), 0, Republish(), id="an outcome outranks a lease"),
        pytest.param(progress(OUTCOME), MAX_REDRIVES, Republish(), id="an outcome outranks redrives"),
        pytest.param(progress(leased_for=9.0), 0, Wait(9.0), id="a worker holds it"),
        pytest.param(progress(leased_for=0.001), MAX_REDRIVES, Wait(0.001), id="a lease outranks redrives"),
        pytest.param(None, 0, Redrive(), id="no worker ever saw it"),
        pytest.param(None, MAX_REDRIVES - 1, Redrive(), id="the last redrive"),
        pytest.param(None, MAX_REDRIVES, Fail(), id="redriven and still never seen"),
        pytest.param(None, MAX_REDRIVES + 1, Fail(), id="redriven too often"),
        pytest.param(progress(leased_for=0.0), 0, Redrive(), id="its worker is gone and it never failed"),
        pytest.param(progress(leased_for=-5.0), MAX_REDRIVES, Fail(), id="it never failed and was redriven too often"),
        pytest.param(progress(leased_for=0.0, failures=1), 0, Fail(), id="it failed and ended here"),
        pytest.param(progress(claims=20, failures=2), 0, Fail(), id="it was tried and ended here"),
    ],
)
def test_decides(known: Progress | None, redrives: int, decision: Decision) -> None:
    assert decide(known, redrives) == decision
