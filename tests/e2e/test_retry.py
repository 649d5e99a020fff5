"""`switchyard case retry`: after a fix, an operator retries the failed task, and the log proves both attempts."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from switchyard.cli.app.case_retry import retry_case
from switchyard.protocol.digest import event_digest
from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.e2e
SWITCHYARD = Path(sys.executable).with_name("switchyard")
RULE = "e2e-draft-fixed"
REASON = ("--reason", "The vendors are back.")


@contextmanager
def broken(deployment: Deployment) -> Iterator[None]:
    """Both vendors refuse what this file's questions lead to; afterwards they are fixed."""
    faults = f"{deployment.stack.endpoints.simulator}/sim/faults"
    asked = urllib.request.Request(faults, json.dumps({"rule": RULE, "error": 503}).encode(), method="POST")
    with urllib.request.urlopen(asked, timeout=5) as answer:
        number = json.load(answer)["id"]
    try:
        yield
    finally:
        removed = urllib.request.Request(f"{faults}/{number}", method="DELETE")
        urllib.request.urlopen(removed, timeout=5).close()


async def failed(deployment: Deployment, count: int = 1, **fields: Any) -> list[str]:
    """Cases that failed at the drafter, whose cause is fixed by now."""
    with broken(deployment):
        questions = [deployment.question("e2e fixed wells", agent="text_to_sql", **fields) for _ in range(count)]
        cases = await deployment.submit(questions)
        closed = await deployment.closed(cases)
    assert {payload["code"] for payload in closed.values()} == {"models_failed"}
    return cases


def _run(deployment: Deployment, command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**deployment.target.environment, "SWITCHYARD_HOME": str(deployment.stack.home.folder)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)


def endings(events: list[dict[str, Any]]) -> list[str]:
    """How the case ended, each time."""
    return [event["payload"]["outcome"] for event in events if event["type"] == "CaseClosed"]


async def test_failed_case_retried_after_a_fix_is_answered_and_both_attempts_verify(
    deployment: Deployment,
) -> None:
    (case,) = await failed(deployment)
    command = [str(SWITCHYARD), "case", "retry", case, "--operator", "oncall", *REASON]
    ran = await asyncio.to_thread(_run, deployment, command)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "DraftAnswer goes to drafter once more" in ran.stdout
    assert "ended: answered" in ran.stdout
    await deployment.settled([case])
    events = await deployment.events(case)
    assert endings(events) == ["failed", "answered"]
    (retried,) = [event for event in events if event["type"] == "TaskRetried"]
    assert (retried["payload"]["operator"], retried["payload"]["task_type"]) == ("oncall", "DraftAnswer")
    assert [event["type"] for event in events].count("AnswerQuestion") == 1, "only what failed is done again"
    assert await deployment.findings([case]) == []
    forged = retried | {"payload": retried["payload"] | {"reason": "because I say so"}}
    forged |= {"digest": event_digest(forged)}
    await deployment.put(("switchyard.case_manager", "TaskRetried", json.dumps(forged)))

    async def refused() -> bool | None:
        return any(record["field"] == "signature" for record in await deployment.quarantined("router")) or None

    await deployment.until(refused, seconds=15, what="the forged retry in the router's quarantine")


async def test_retry_under_kill_9_loses_and_repeats_no_case(
    deployment: Deployment,
) -> None:
    cases = await failed(deployment, 3)
    logged = await deployment.settled(cases)
    running = asyncio.gather(
        *(
            retry_case(deployment.target, case, operator="oncall", reason="fixed", key_file=None, wait_s=90)
            for case in cases
        )
    )
    for name in ("case_manager", "router", "case_manager", "drafter"):
        logged = await deployment.moved_on(cases, logged, endings=2)
        await deployment.kill(name)
    await running
    await deployment.settled(cases, seconds=40)
    for case in cases:
        events = await deployment.events(case)
        assert endings(events) == ["failed", "answered"]
        assert [event["type"] for event in events].count("AnswerDrafted") == 1
    assert await deployment.findings(cases) == []
