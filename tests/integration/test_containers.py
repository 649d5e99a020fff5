"""Containers of a test session end with the session, even if it is killed. `make test-containers` alone runs this."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from docker import DockerClient

from tests.integration.cloud import until
from tests.integration.events import fresh_id
from tests.integration.infrastructure import Infrastructure
from tests.integration.infrastructure.containers import LABEL, SESSION
from tests.integration.infrastructure.in_docker import engine

pytestmark = [pytest.mark.integration, pytest.mark.containers]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def client() -> Iterator[DockerClient]:
    """The engine."""
    with closing(engine()) as client:
        yield client


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
async def test_interrupted_session_leaves_no_container(
    infrastructure: Infrastructure, client: DockerClient, ending: signal.Signals
) -> None:
    name = fresh_id()

    def labelled() -> int:
        return len(client.containers.list(all=True, filters={"label": f"{LABEL}={name}"}))

    async def both_there() -> bool:
        assert session.returncode is None, "the session ended before it was interrupted"
        return await asyncio.to_thread(labelled) == 2

    session = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pytest", "tests/integration/case_manager/test_intake.py", "-q",
        cwd=ROOT, env={**os.environ, SESSION: name}, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    await until(both_there, "the two containers of the session", within_s=60)
    session.send_signal(ending)
    assert await asyncio.wait_for(session.wait(), 60) == pytest.ExitCode.INTERRUPTED
    assert labelled() == 0
