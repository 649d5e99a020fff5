"""ministack in a process of its own, and the queues of a run."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from .contenders import CLIENT_OPTIONS, ContenderQueues

_PATIENCE_S = 20.0


@contextmanager
def run_emulator(home: Path) -> Iterator[str]:
    """The address of an emulator that lives as long as the context; its log is in `home`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "IOT_MTLS_ENABLED": "0", "LOG_LEVEL": "ERROR"}
    with (
        (home / "ministack.log").open("ab") as log,
        subprocess.Popen(
            [sys.executable, "-m", "ministack"], cwd=home, env={**os.environ, **settings}, stdout=log, stderr=log
        ) as process,
    ):
        try:
            _wait_for_port(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"ministack did not answer within {_PATIENCE_S} s")


class BenchAdmin:
    """Makes the contenders' queues, fills them, and counts their messages."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._sqs: Any = boto3.client("sqs", endpoint_url=endpoint, **CLIENT_OPTIONS)
        self._events: Any = boto3.client("events", endpoint_url=endpoint, **CLIENT_OPTIONS)

    def create_site(self, name: str) -> ContenderQueues:
        """Create two queues and a bus."""
        queue, sink, bus = f"{name}-queue", f"{name}-sink", f"{name}-bus"
        urls = [self._sqs.create_queue(QueueName=each)["QueueUrl"] for each in (queue, sink)]
        self._events.create_event_bus(Name=bus)
        return ContenderQueues(self._endpoint, queue, urls[0], sink, urls[1], bus)

    def fill(self, site: ContenderQueues, body: str, count: int) -> None:
        """Put messages, a multiple of ten, into the queue that is consumed."""
        entries = [{"Id": str(i), "MessageBody": body} for i in range(10)]
        for _ in range(0, count, 10):
            self._sqs.send_message_batch(QueueUrl=site.queue_url, Entries=entries)

    def count_left(self, site: ContenderQueues) -> int:
        """The number of messages that have not been deleted."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self._sqs.get_queue_attributes(QueueUrl=site.queue_url, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    def purge_sink(self, site: ContenderQueues) -> None:
        """Delete the published messages."""
        self._sqs.purge_queue(QueueUrl=site.sink_url)
