"""Runs the guard in a process of its own, where limits of the operating system can stop it.

The guard parses text that a model wrote. What its own bounds miss ends with this process: its memory and CPU time are
limited, the query counts as refused, and the next query gets a new process. The process holds no secret.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import resource
import subprocess
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from selectors import EVENT_READ, DefaultSelector
from threading import Lock
from time import monotonic, process_time
from typing import Any

from services.specialists.text_to_sql.guarded_query import GuardedQuery, OutputColumn
from services.specialists.text_to_sql.schema import Schema
from services.specialists.text_to_sql.unsafe_query import UnsafeQuery, too_costly
from switchyard.runtime.core.errors import RetryableTaskError

MEMORY_BYTES = 256 * 1024 * 1024
"""Address space of the process."""
CPU_S = 3
"""CPU seconds per query."""
ANSWER_S = 20.0
"""How long an answer is waited for: a machine that is busy is slower than the CPU time says."""
START_S = 60.0

CheckQuery = Callable[[str, int], Awaitable[GuardedQuery]]
"""Checks a query for at most so many rows. Raises `UnsafeQuery`."""


class GuardProcess:
    """The guard for one schema. One query at a time; from any thread."""

    def __init__(self, schema: Schema, *, memory_bytes: int = MEMORY_BYTES, cpu_s: int = CPU_S) -> None:
        self._schema = schema
        self._limits = {"memory_bytes": memory_bytes, "cpu_s": cpu_s}
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = Lock()
        # Its own thread: the warehouse's queries may keep every other one busy.
        self._thread = ThreadPoolExecutor(1, "guard")

    async def check(self, sql: str, max_rows: int) -> GuardedQuery:
        """Check a query. Raises `UnsafeQuery`, also for one that takes too much time or memory to check, and
        `RetryableTaskError` if the process cannot be started."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.check_now, sql, max_rows)

    def check_now(self, sql: str, max_rows: int = 200) -> GuardedQuery:
        """`check`, for callers that may block."""
        with self._lock:
            process = self._started()
            answer = _exchange(process, {"sql": sql, "max_rows": max_rows}, ANSWER_S)
            if answer is None:
                self._stop()
                raise too_costly("a query that takes too long to check", "write a simpler query")
        if "refused" in answer:
            raise UnsafeQuery(**answer["refused"])
        return _query(answer["accepted"])

    async def start(self) -> None:
        """Start the process, so that the first query does not wait for it."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._start)

    async def close(self) -> None:
        """Stop the process."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self.close_now)

    def _start(self) -> None:
        with self._lock:
            self._started()

    def close_now(self) -> None:
        """`close`, for callers that may block."""
        with self._lock:
            self._stop()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._stop()
        # Only where the code is found: no secret of this process.
        environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services.specialists.text_to_sql.guard_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
            if _exchange(self._process, {"schema": self._schema.model_dump(), **self._limits}, START_S) is not None:
                return self._process
        except OSError:
            pass
        self._stop()
        remedy = "see whether the host has memory for another process"
        raise RetryableTaskError("guard_unavailable", "the process that checks queries did not start", remedy=remedy)

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process = None


def _exchange(process: subprocess.Popen[bytes], request: dict[str, Any], timeout_s: float) -> dict[str, Any] | None:
    """The answer to a request, or None if the process died or is late."""
    writer, reader = process.stdin, process.stdout
    if writer is None or reader is None:
        return None
    try:
        # ASCII, so that a lone surrogate in the text arrives as it is.
        writer.write(json.dumps(request).encode() + b"\n")
        writer.flush()
    except BrokenPipeError:
        return None
    received, ends = bytearray(), monotonic() + timeout_s
    with DefaultSelector() as selector:
        selector.register(reader, EVENT_READ)
        while not received.endswith(b"\n"):
            if not selector.select(max(0.0, ends - monotonic())):
                return None
            if not (part := os.read(reader.fileno(), 65_536)):
                return None
            received += part
    answer: dict[str, Any] = json.loads(received)
    return answer


def _query(accepted: dict[str, Any]) -> GuardedQuery:
    return GuardedQuery(
        sql=accepted["sql"],
        tables=tuple(accepted["tables"]),
        columns=tuple(accepted["columns"]),
        output=tuple(OutputColumn(**column) for column in accepted["output"]),
        filters=tuple(accepted["filters"]),
        ordered=accepted["ordered"],
    )


def _answer(sql: str, schema: Schema, max_rows: int) -> dict[str, Any]:
    from services.specialists.text_to_sql.guard import guard_query  # the parser, in this process alone

    try:
        return {"accepted": asdict(guard_query(sql, schema, max_rows=max_rows))}
    except UnsafeQuery as error:
        return {"refused": {"code": error.code, "what": error.what, "remedy": error.remedy}}


def main() -> None:
    """Answer one request per line until the input ends."""
    requests = sys.stdin.buffer
    first = json.loads(requests.readline())
    schema = Schema.model_validate(first["schema"])
    # The first query of a process builds tables of the parser: they belong to its start.
    _answer(f"SELECT * FROM {next(iter(schema.tables))}", schema, 1)  # noqa: S608 - a name of the schema
    resource.setrlimit(resource.RLIMIT_AS, (first["memory_bytes"], first["memory_bytes"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hardest = resource.getrlimit(resource.RLIMIT_CPU)
    _write({"ready": True})
    for line in requests:
        request = json.loads(line)
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(process_time()) + first["cpu_s"], hardest))
        _write(_answer(request["sql"], schema, request["max_rows"]))


def _write(answer: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
