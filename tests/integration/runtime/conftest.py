"""A worker: one agent, served as its own process would serve it, with a handler that the test supplies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from contracts.cards import AGENT_CARDS
from contracts.catalogue import CATALOGUE
from contracts.events.router import AnswerQuestion
from contracts.events.specialists import FindingsReady
from switchyard.protocol.fields import Artefact, Contract
from switchyard.protocol.topology import dead_letter_queue_name, queue_name
from switchyard.runtime.core.settings import WorkSettings
from switchyard.runtime.core.task import Task, TaskHandler
from switchyard.runtime.process.agent import AgentProcess, serve_agent
from switchyard.runtime.storage.artefacts import Artefacts
from tests.integration.cloud import Cloud, until
from tests.integration.events import NODE, fresh_id
from tests.integration.infrastructure import Infrastructure
from tests.integration.serving import free_port, stop_serving

QUEUE, DEAD_LETTERS = queue_name(NODE), dead_letter_queue_name(NODE)
FOUND = FindingsReady(findings=(Artefact(name="findings", sha256="f" * 64, size=1, media_type="text/csv"),), rows=3)


@dataclass(frozen=True)
class Worker:
    """A running worker."""

    serving: asyncio.Task[None]
    health_url: str

    async def failing(self) -> list[str] | None:
        """The readiness checks that fail now; None while it does not answer yet."""
        async with aiohttp.ClientSession() as session:
            try:
                async with session.get(self.health_url) as answer:
                    failing: list[str] = (await answer.json())["failing"]
            except aiohttp.ClientConnectionError:
                return None
        assert answer.status == (503 if failing else 200)
        return failing

    async def is_failing(self, *checks: str) -> None:
        """Wait until exactly these readiness checks fail."""

        async def so() -> bool:
            return await self.failing() == list(checks)

        await until(so, f"failing checks: {checks}")


async def stop_workers(cloud: Cloud, *workers: Worker) -> None:
    """Drain and stop workers, and leave their queues empty."""
    await stop_serving(cloud, NODE, *(worker.serving for worker in workers))


StartWorker = Callable[..., Awaitable[Worker]]


@pytest.fixture
async def start_worker(infrastructure: Infrastructure, cloud: Cloud, borrowed_logs: None) -> AsyncIterator[StartWorker]:
    """Starts workers of the node under test; they share its queue, which is empty at first."""
    await cloud.purge(QUEUE, DEAD_LETTERS)
    workers: list[Worker] = []

    async def start(handler: TaskHandler, **changes: Any) -> Worker:
        options: dict[str, Any] = {
            "work_db_url": SecretStr(infrastructure.role_url(NODE)),
            "vault_key": "00" * 32,
            "visibility_s": 2.0,
            "poll_wait_s": 1,
            "retry_base_s": 0.05,
            "drain_s": 5.0,
            "deploy_grace_s": 0.0,
            "health_port": free_port(),
        }
        settings = WorkSettings(**(options | changes))

        async def build(_process: AgentProcess, _artefacts: Artefacts) -> dict[type[Contract], TaskHandler]:
            return {AnswerQuestion: handler}

        serving = asyncio.create_task(serve_agent(CATALOGUE, AGENT_CARDS[NODE], settings, build))
        worker = Worker(serving, f"http://127.0.0.1:{settings.health_port}/health/ready")
        workers.append(worker)
        return worker

    yield start
    await stop_workers(cloud, *(worker for worker in workers if not worker.serving.done()))


class Counting:
    """A handler that finds something, and remembers the tasks it was given."""

    def __init__(self, *errors: Exception) -> None:
        self.tasks: list[Task[AnswerQuestion]] = []
        self._errors = list(errors)

    async def __call__(self, task: Task[AnswerQuestion]) -> FindingsReady:
        """Raise the errors that it was made with, one a time, and then succeed."""
        self.tasks.append(task)
        if self._errors:
            raise self._errors.pop(0)
        return FOUND


class Blocking(Counting):
    """A handler that works until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.started = asyncio.Event()
        self.release = asyncio.Event()
        self.cancelled = asyncio.Event()

    def fail_with(self, error: Exception) -> None:
        """Raise this once let go."""
        self._errors.append(error)

    async def __call__(self, task: Task[AnswerQuestion]) -> FindingsReady:
        """Wait for `release`."""
        self.started.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return await super().__call__(task)


@pytest.fixture
def case_id() -> str:
    """The id of this test's case."""
    return fresh_id()
