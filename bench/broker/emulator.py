"""ministack in a process of its own, and the queues of a run."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from .contender import CLIENT_OPTIONS, ContenderQueues

_PATIENCE = 20.0  # seconds until the emulator must answer


@contextmanager
def run_emulator(home: Path) -> Iterator[str]:
    """The address of an emulator that lives as long as the context."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "IOT_MTLS_ENABLED": "0", "LOG_LEVEL": "ERROR"}
    home.mkdir(parents=True, exist_ok=True)
    with (home / "ministack.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"], cwd=home, env={**os.environ, **settings}, stdout=log, stderr=log
        )
        try:
            _wait(f"http://127.0.0.1:{port}/_ministack/health", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"ministack ended with {process.returncode} while starting")
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310 - an address of ours
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.05)
    raise TimeoutError(f"ministack did not answer within {_PATIENCE} s")


class BenchAdmin:
    """What stands outside of the contenders: makes their queues, fills them, and sees when they are empty."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._sqs: Any = boto3.client("sqs", endpoint_url=endpoint, **CLIENT_OPTIONS)
        self._events: Any = boto3.client("events", endpoint_url=endpoint, **CLIENT_OPTIONS)

    def site(self, name: str) -> ContenderQueues:
        """Two queues and a bus of their own."""
        queue, sink, bus = f"{name}-queue", f"{name}-sink", f"{name}-bus"
        urls = [self._sqs.create_queue(QueueName=each)["QueueUrl"] for each in (queue, sink)]
        self._events.create_event_bus(Name=bus)
        return ContenderQueues(self._endpoint, queue, urls[0], sink, urls[1], bus)

    def fill(self, site: ContenderQueues, body: str, count: int) -> None:
        """Put so many messages, a multiple of ten, into the queue that is consumed."""
        entries = [{"Id": str(i), "MessageBody": body} for i in range(10)]
        for _ in range(0, count, 10):
            self._sqs.send_message_batch(QueueUrl=site.queue_url, Entries=entries)

    def left(self, site: ContenderQueues) -> int:
        """How many messages have not been deleted."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self._sqs.get_queue_attributes(QueueUrl=site.queue_url, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    def empty_sink(self, site: ContenderQueues) -> None:
        """Throw away what was published."""
        self._sqs.purge_queue(QueueUrl=site.sink_url)
