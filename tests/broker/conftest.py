"""A real SQS and EventBridge for the tests: ministack, in its own process, on a free port of the loopback."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.session import get_session
from faststream_sqs import Credentials, SQSBroker

CREDENTIALS = Credentials("test", "test")
REGION = "us-east-1"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_it_answers(endpoint: str, process: subprocess.Popen[bytes]) -> None:
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
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the emulator listens."""
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


@pytest.fixture
async def clients(endpoint: str) -> AsyncIterator[tuple[Any, Any]]:
    """Plain SQS and EventBridge clients, to look at what the broker did."""
    session = get_session()
    options = {
        "region_name": REGION,
        "endpoint_url": endpoint,
        "aws_access_key_id": CREDENTIALS.access_key_id,
        "aws_secret_access_key": CREDENTIALS.secret_access_key,
    }
    async with session.create_client("sqs", **options) as sqs, session.create_client("events", **options) as events:
        yield sqs, events


class Queue:
    """A queue as an outsider sees it."""

    def __init__(self, sqs: Any, name: str, url: str) -> None:
        self._sqs = sqs
        self.name = name
        self.url = url

    async def send(self, *bodies: str, attributes: dict[str, Any] | None = None) -> list[str]:
        """Send messages and return their ids."""
        ids = []
        for body in bodies:
            sent = await self._sqs.send_message(QueueUrl=self.url, MessageBody=body, MessageAttributes=attributes or {})
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
        return tuple(int(response["Attributes"][name]) for name in names)  # type: ignore[return-value]


@pytest.fixture
async def make_queue(clients: tuple[Any, Any]) -> Callable[..., Any]:
    """Creates queues with names of their own."""
    sqs, _ = clients

    async def make(**attributes: str) -> Queue:
        name = f"queue-{uuid.uuid4().hex[:12]}"
        response = await sqs.create_queue(QueueName=name, Attributes=attributes)
        return Queue(sqs, name, response["QueueUrl"])

    return make


@pytest.fixture
async def queue(make_queue: Callable[..., Any]) -> Queue:
    """An empty queue."""
    created: Queue = await make_queue()
    return created


@pytest.fixture
async def make_broker(endpoint: str) -> AsyncIterator[Callable[..., SQSBroker]]:
    """Makes brokers that are stopped at the end of the test."""
    async with AsyncExitStack() as stack:

        def make(**options: Any) -> SQSBroker:
            settings = {"endpoint_url": endpoint, "credentials": CREDENTIALS, "logger": None, "drain_timeout": 5.0}
            broker = SQSBroker(REGION, **{**settings, **options})
            stack.push_async_callback(broker.stop)
            return broker

        yield make


@pytest.fixture
def broker(make_broker: Callable[..., SQSBroker]) -> SQSBroker:
    """A broker on the emulator, not started yet."""
    return make_broker()
