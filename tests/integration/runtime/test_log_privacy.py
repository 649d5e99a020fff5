"""Logs carry ids, codes and places in the code; never a payload's text."""

from __future__ import annotations

import base64

import pytest

from contracts.events.router import AnswerQuestion
from contracts.events.specialists import FindingsReady
from switchyard.runtime.core.errors import RetryableTaskError
from switchyard.runtime.core.task import Task
from tests.integration.cloud import Cloud, Tap
from tests.integration.events import MARKER, NODE, bus_body, command, fresh_id, question, rewritten
from tests.integration.runtime.conftest import FOUND, QUEUE, StartWorker

pytestmark = pytest.mark.integration


async def test_logs_have_no_payload_in_any_outcome(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, capsys: pytest.CaptureFixture[str], case_id: str
) -> None:
    async def misbehave(task: Task[AnswerQuestion]) -> FindingsReady:
        if task.attempt == 1:
            raise RetryableTaskError("throttled", "the model turned us away")
        if task.attempt == 2:
            raise ValueError(f"cannot read {MARKER}") from KeyError(MARKER)
        return FOUND

    await start_worker(misbehave, log_level="DEBUG")
    asked = command(case_id)
    await cloud.put(asked)
    await cloud.put(rewritten(command(fresh_id()), payload={MARKER: {"question": MARKER}}))
    await cloud.put(rewritten(command(fresh_id()), version=9))
    await cloud.send(QUEUE, f"{MARKER} is not JSON")
    await cloud.send(QUEUE, bus_body({**asked, MARKER: MARKER}))
    await cloud.put_dead_letter(NODE, f"{MARKER} is not JSON either")
    await tap.next(NODE, case_id)
    await cloud.settled(QUEUE)
    logged = capsys.readouterr().err
    assert "task.defect" in logged, "the test looks at the wrong stream"
    assert "KeyError" in logged
    assert "test_log_privacy.py" in logged, "a defect without its place in the code cannot be fixed"
    inline = base64.b64encode(f"How deep is {MARKER}?".encode()).decode()
    assert question()[1].inline == inline
    assert MARKER not in logged
    assert inline not in logged
