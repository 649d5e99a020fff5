"""The whole stack, once for the session: every service its own process, with a visibility of three seconds."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from demo.clock import start_clock
from switchyard.devstack.stack.endpoints import Endpoints
from switchyard.devstack.stack.home import temporary_home
from switchyard.devstack.stack.local_stack import (
    CLOCK_VARIABLE,
    OTLP_VARIABLE,
    VISIBILITY_VARIABLE,
    list_services,
    model_simulator_service,
    prepare_infrastructure,
)
from switchyard.devstack.stack.stack import EmbeddedStack
from switchyard.devstack.supervisor.process import ProcessState, ServiceSpec
from tests.deployed import Deployed
from tests.e2e.spans import kept_spans
from tests.token_search import Leak, leaks_of

T = TypeVar("T")
SCRIPT = Path(__file__).with_name("simulator.yaml")

WALLED, UNSHARED = "walled", "unshared"
"""Tenants whose data may not leave the primary, and may not be shown to any model."""

POLICIES = {
    "rules": [
        {"when": {"tenant": WALLED}, "policy": {"name": WALLED, "never_fail_over": True}},
        {
            "when": {"tenant": UNSHARED, "data": "personal"},
            "policy": {"name": "unshared-personal", "vendors": ["none-of-these"]},
        },
    ]
}


class Deployment(Deployed):
    """The laptop's stack, and the handles to kill and stop its processes."""

    def __init__(self, stack: EmbeddedStack, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(stack.exports)
        self.stack = stack
        self.loop = loop

    def control(self, action: Awaitable[T]) -> Future[T]:
        """Run something on the supervisor's loop."""

        async def run() -> T:
            return await action

        return asyncio.run_coroutine_threadsafe(run(), self.loop)

    async def do(self, action: Awaitable[T]) -> T:
        """Run something on the supervisor's loop and wait for it."""
        return await asyncio.wrap_future(self.control(action))

    async def leaks(self) -> list[Leak]:
        """Tokens in what the run has left behind until now."""
        home = Path(self.stack.endpoints.home)
        return await leaks_of(self, home / "logs", home / "spans")

    async def kill(self, name: str) -> None:
        """SIGKILL for a process in any state; one that is about to be restarted is waited for."""
        while self.stack[name].state is ProcessState.RESTARTING:  # noqa: ASYNC110 - the supervisor lives on another loop
            await asyncio.sleep(0.05)
        await self.do(self.stack[name].kill())


def services_with_policies(endpoints: Endpoints) -> list[ServiceSpec]:
    """The laptop's services; those that call models have policies for two tenants, and the judge has some to judge."""
    policies = {"SWITCHYARD_MODEL_POLICIES": json.dumps(POLICIES)}
    judged = {"judge": {"SWITCHYARD_JUDGE_RATES": json.dumps([{"tenant": "judged-*", "rate": 1.0}])}}
    calls_models = "SWITCHYARD_MODEL_BEDROCK_ENDPOINT_URL"
    return [
        replace(service, env={**service.env, **policies, **judged.get(service.name, {})})
        if calls_models in service.env
        else service
        for service in list_services(endpoints)
    ]


@pytest.fixture(scope="session")
def deployment() -> Iterator[Deployment]:
    """The stack, started once."""
    with (
        pytest.MonkeyPatch.context() as patch,
        temporary_home() as home,
        kept_spans(home / "spans" / "received") as otlp_endpoint,
    ):
        patch.setenv(VISIBILITY_VARIABLE, "3")
        patch.setenv(OTLP_VARIABLE, otlp_endpoint)
        # Emails wait for the consumer's day; on this clock it is always the same hour.
        clock = home / "clock"
        start_clock(clock)
        patch.setenv(CLOCK_VARIABLE, str(clock))
        stack = EmbeddedStack(
            home,
            services=services_with_policies,
            prepare=prepare_infrastructure,
            simulator=model_simulator_service(SCRIPT),
        )
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="supervisor")
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(stack.__aenter__(), loop).result(timeout=120)
            deployment = Deployment(stack, loop)
            yield deployment
            # Of the whole run: every test's cases, crashes and forgeries.
            assert asyncio.run(deployment.leaks()) == []
        finally:
            asyncio.run_coroutine_threadsafe(stack.close(), loop).result(timeout=60)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
