"""A real SQS and EventBridge for the tests: the endpoint of AWS_ENDPOINT_URL, else a ministack of our own, or the
LocalStack of the session's infrastructure where that is not the embedded one.

Credentials come from the usual variables when AWS_ENDPOINT_URL is set, and are "test" otherwise.
"""

import asyncio
import inspect
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiobotocore.session import get_session
from aiohttp import web

from faststream_sqs import Credentials, SQSBroker
from tests.emulators import NOT_SHOWN, Emulator, identify
from tests.where import Where, chosen

GIVEN = os.environ.get("AWS_ENDPOINT_URL")
REGION = "us-east-1"
CREDENTIALS = Credentials(
    os.environ.get("AWS_ACCESS_KEY_ID", "test") if GIVEN else "test",
    os.environ.get("AWS_SECRET_ACCESS_KEY", "test") if GIVEN else "test",
)
# Shared, because loading the service models costs more than most tests.
SESSION = get_session()
PLAIN = {
    "region_name": REGION,
    "aws_access_key_id": CREDENTIALS.access_key_id,
    "aws_secret_access_key": CREDENTIALS.secret_access_key,
}

_ran_on: dict[str, Emulator] = {}  # by address; for the summary


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_it_answers(endpoint: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert process.poll() is None, "ministack ended while starting"
        try:
            with urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=1):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.05)
    raise TimeoutError("ministack did not answer within 20 s")


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[str]:
    """Where the emulator listens."""
    if GIVEN:
        yield GIVEN.rstrip("/")
        return
    if chosen() is not Where.EMBEDDED:
        yield request.getfixturevalue("infrastructure").environment["AWS_ENDPOINT_URL"]
        return
    port = _free_port()
    program = shutil.which("ministack", path=str(Path(sys.executable).parent))
    assert program, "ministack is not installed: pip install 'switchyard[local]'"
    home = tmp_path_factory.mktemp("ministack")
    settings = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "IOT_MTLS_ENABLED": "0", "LOG_LEVEL": "ERROR"}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen([program], cwd=home, env={**os.environ, **settings}, stdout=log, stderr=log)
        try:
            _wait_until_it_answers(f"http://127.0.0.1:{port}", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture(scope="session")
def emulator(endpoint: str) -> Emulator:
    """What listens there, and where it differs from AWS."""
    return _ran_on.setdefault(endpoint, identify(endpoint))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the broker was tested on, and what that cannot show."""
    for address, emulator in _ran_on.items():
        terminalreporter.section(f"broker on {emulator.name} {emulator.version} at {address}")
        if not GIVEN and chosen() is Where.EMBEDDED:
            continue
        for line in emulator.oddities():
            terminalreporter.write_line(f"differs from AWS, shown by test_emulators.py: {line}")
        for line in NOT_SHOWN:
            terminalreporter.write_line(f"not shown: {line}")


@pytest.fixture
async def sqs(endpoint: str) -> AsyncIterator[Any]:
    """A plain SQS client, to look at what the broker did."""
    async with SESSION.create_client("sqs", endpoint_url=endpoint, **PLAIN) as client:
        yield client


@pytest.fixture
async def events(endpoint: str) -> AsyncIterator[Any]:
    """A plain EventBridge client."""
    async with SESSION.create_client("events", endpoint_url=endpoint, **PLAIN) as client:
        yield client


class Queue:
    """A queue as an outsider sees it."""

    def __init__(self, sqs: Any, name: str, url: str) -> None:
        self._sqs = sqs
        self.name = name
        self.url = url

    async def send(self, *bodies: str, **attributes: str) -> list[str]:
        """Send messages with text attributes and return their ids."""
        given = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        ids = []
        for body in bodies:
            sent = await self._sqs.send_message(QueueUrl=self.url, MessageBody=body, MessageAttributes=given)
            ids.append(sent["MessageId"])
        return ids

    async def receive(self, wait: int = 0, visibility: int = 30) -> list[dict[str, Any]]:
        """Receive up to ten messages."""
        response = await self._sqs.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=wait,
            VisibilityTimeout=visibility,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        )
        messages: list[dict[str, Any]] = response.get("Messages", [])
        return messages

    async def counts(self) -> tuple[int, int]:
        """How many messages are visible and how many are in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        response = await self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
        visible, in_flight = (int(response["Attributes"][name]) for name in names)
        return visible, in_flight

    async def arn(self) -> str:
        """The ARN of the queue."""
        response = await self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        arn: str = response["Attributes"]["QueueArn"]
        return arn


@pytest.fixture
def make_queue(sqs: Any) -> Callable[..., Awaitable[Queue]]:
    """Creates queues with names of their own."""

    async def make(**attributes: str) -> Queue:
        name = f"queue-{uuid.uuid4().hex[:12]}"
        response = await sqs.create_queue(QueueName=name, Attributes=attributes)
        return Queue(sqs, name, response["QueueUrl"])

    return make


@pytest.fixture
async def queue(make_queue: Callable[..., Awaitable[Queue]]) -> Queue:
    """An empty queue."""
    return await make_queue()


@pytest.fixture
async def bus(events: Any, queue: Queue) -> str:
    """An event bus that sends every event to `queue`."""
    name = f"bus-{uuid.uuid4().hex[:12]}"
    await events.create_event_bus(Name=name)
    await events.put_rule(Name="all", EventBusName=name, EventPattern='{"source": [{"prefix": ""}]}')
    await events.put_targets(Rule="all", EventBusName=name, Targets=[{"Id": "queue", "Arn": await queue.arn()}])
    return name


@pytest.fixture
async def make_broker(endpoint: str) -> AsyncIterator[Callable[..., SQSBroker]]:
    """Makes brokers that are stopped at the end of the test."""
    async with AsyncExitStack() as stack:

        def make(**options: Any) -> SQSBroker:
            settings: dict[str, Any] = {"endpoint_url": endpoint, "credentials": CREDENTIALS, "session": SESSION}
            settings |= {"logger": None, "graceful_timeout": 5.0}
            broker = SQSBroker(REGION, **{**settings, **options})
            stack.push_async_callback(broker.stop)
            return broker

        yield make


@pytest.fixture
def broker(make_broker: Callable[..., SQSBroker]) -> SQSBroker:
    """A broker on the emulator, not started yet."""
    return make_broker()


Answer = dict[str, Any] | web.Response | None
Interceptor = Callable[[dict[str, Any]], Answer | Awaitable[Answer]]


class Wire:
    """The way to the emulator: forwards every request, unless an interceptor answers in its place.

    Attributes:
        url: where it listens.
        calls: how often each operation was called.
        answered: how often each operation was answered, to clients that still listened.
        requests: the payloads of each operation.
        intercept: by operation, called with the payload; what it returns is the answer, None lets the request pass.
    """

    def __init__(self, endpoint: str) -> None:
        self.url = ""
        self.calls: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.requests: dict[str, list[dict[str, Any]]] = {}
        self.intercept: dict[str, Interceptor] = {}
        self._endpoint = endpoint

    async def handle(self, request: web.Request) -> web.Response:
        operation = request.headers["X-Amz-Target"].rpartition(".")[2]
        body = await request.read()
        payload = json.loads(body)
        self.calls[operation] += 1
        self.requests.setdefault(operation, []).append(payload)
        try:
            return await self._answer(operation, request, body, payload)
        finally:
            self.answered[operation] += 1

    async def _answer(self, operation: str, request: web.Request, body: bytes, payload: dict[str, Any]) -> web.Response:
        if operation in self.intercept:
            answer = self.intercept[operation](payload)
            if inspect.isawaitable(answer):
                answer = await answer
            if isinstance(answer, web.Response):
                return answer
            if answer is not None:
                return web.json_response(answer, content_type="application/x-amz-json-1.1")
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        async with aiohttp.ClientSession() as session, session.post(self._endpoint, data=body, headers=headers) as real:
            return web.Response(
                body=await real.read(),
                status=real.status,
                headers={
                    name: value
                    for name, value in real.headers.items()
                    if name.lower() in {"content-type", "x-amzn-query-error", "x-amzn-errortype"}
                },
            )


@pytest.fixture
async def wire(endpoint: str) -> AsyncIterator[Wire]:
    """A server between the broker and the emulator that counts requests and can answer them wrongly."""
    between = Wire(endpoint)
    app = web.Application(client_max_size=4 * 1024 * 1024)
    app.router.add_post("/{path:.*}", between.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    between.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield between
    await runner.cleanup()


@pytest.fixture
def wired_broker(wire: Wire, make_broker: Callable[..., SQSBroker]) -> SQSBroker:
    """A broker whose requests pass through `wire`."""
    return make_broker(endpoint_url=wire.url)


@pytest.fixture
def eventually() -> Callable[..., Awaitable[None]]:
    """Waits until a condition holds, and fails when it does not within some seconds."""

    async def wait(condition: Callable[[], Any], within: float = 5.0) -> None:
        async with asyncio.timeout(within):
            while True:
                holds = condition()
                if asyncio.iscoroutine(holds):
                    holds = await holds
                if holds:
                    return
                await asyncio.sleep(0.01)

    return wait
