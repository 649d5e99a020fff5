"""Every example runs as it stands, and prints what it should."""

import asyncio
import os
import runpy
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette

import faststream_sqs
from faststream_sqs import SQSBroker

EXAMPLES = Path(faststream_sqs.__file__).parents[1] / "examples"

PRINTED = {
    "worker": ["attempt 2: shipping a kettle"],
    "events": [
        "shipping order 7, a OrderPlaced from shop.tills",
        "refused order 8: unexpected detail-type OrderCancelled",
    ],
    "batch": ["stored 2 of 3", "stored 1 of 1"],
    "application": [
        "example-quotes took less than five seconds",
        "kettle costs acme 40",
        "example-answers took less than five seconds",
    ],
    "fifo": ["game-1: step 1", "game-1: step 2", "game-1: step 3"],
    "request": ["{'kettle': 40}"],
}


def test_examples_are_all_tested() -> None:
    elsewhere = {"fastapi_application", "test_worker"}  # test_fastapi.py, and below
    assert {path.stem for path in EXAMPLES.glob("*.py")} == elsewhere.union(PRINTED)


@pytest.mark.parametrize("name", PRINTED)
def test_example_prints_its_documented_output(
    name: str, endpoint: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    out, error = capfd.readouterr()
    # The others are log lines and tracebacks of handlers that fail on purpose.
    printed = [line for line in out.splitlines() if line in PRINTED[name]]
    assert sorted(printed) == sorted(PRINTED[name]), out + error


async def test_example_of_a_test_passes_without_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.syspath_prepend(EXAMPLES)
    await runpy.run_path(str(EXAMPLES / "test_worker.py"))["test_order_is_shipped_at_the_second_attempt"]()


async def test_faststream_command_runs_an_example(endpoint: str) -> None:
    environment = {**os.environ, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": endpoint}
    environment |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    command = [sys.executable, "-m", "faststream", "run", "request:app", "--app-dir", str(EXAMPLES)]
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert "{'kettle': 40}" in out.decode()
    assert process.returncode == 0


async def test_asgi_application_starts_and_stops_the_broker_in_its_lifespan(
    make_broker: Callable[..., SQSBroker],
) -> None:
    broker = make_broker(declare="create")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with broker:
            await broker.start()
            yield

    app = Starlette(lifespan=lifespan)

    @broker.subscriber("example-lifespan", wait_time=1)
    async def double(body: int) -> int:
        return 2 * body

    async with app.router.lifespan_context(app):
        reply = await broker.request(21, "example-lifespan", timeout=10)
        assert await reply.decode() == 42
    assert not await broker.ping()
