"""A process that is kept running: started, waited for until it is ready, started again when it ends unasked."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from switchyard.devstack.errors import StackError, StartFailed
from switchyard.devstack.supervisor import watchdog
from switchyard.devstack.supervisor.process import ProcessState, ProcessStatus, ServiceSpec
from switchyard.runtime.core.backoff import backoff_s

log = logging.getLogger(__name__)

FIRST_DELAY, LAST_DELAY = 0.2, 5.0  # seconds before the first restart, and at most
HEALTHY_AFTER = 10.0  # seconds of being ready after which earlier crashes are forgotten
PROBE_EVERY = 0.05  # seconds


def describe_exit(status: int) -> str:
    """How a process ended, from its watchdog's exit status."""
    if status < 0 or status > 128:
        return f"killed by {signal.Signals(abs(status) % 128).name}"
    return f"exit status {status}"


class ManagedProcess:
    """One process and its state. `changed` is called after each change of state; `lock` is the home's."""

    def __init__(self, process: ServiceSpec, log_file: Path, lock: int, changed: Callable[[], None]) -> None:
        self.process = process
        self.log_file = log_file
        self.state = ProcessState.STOPPED
        self.restarts = 0
        self.pid: int | None = None
        """The pid of the process itself, not of its watchdog; None while it does not run."""
        self._since = time.time()
        self._lock = lock
        self._changed = changed
        self._watchdog: asyncio.subprocess.Process | None = None
        self._supervision: asyncio.Task[None] | None = None
        self._failure: StartFailed | None = None
        self._stopping = asyncio.Event()

    def status(self) -> ProcessStatus:
        """What it is doing now."""
        return ProcessStatus(self.process.name, self.pid, self.state, self.restarts, self.process.port, self._since)

    async def start(self) -> None:
        """Start it and wait until it is ready. Raises StartFailed, then it is not running."""
        if self._supervised():
            raise StackError(f"{self.process.name} is {self.state} already")
        self._stopping, self._failure = asyncio.Event(), None
        self._supervision = asyncio.create_task(self._supervise(), name=f"supervise {self.process.name}")
        await self.ready()

    async def stop(self) -> None:
        """Ask it to end and wait; after its grace it is killed. It stays stopped until `start`."""
        self._stopping.set()
        if self._watchdog is not None:
            with contextlib.suppress(ProcessLookupError):
                self._watchdog.terminate()
        if self._supervision is not None:
            await asyncio.wait({self._supervision})

    async def kill(self) -> None:
        """SIGKILL for it and all that it started, and wait for the end; it is then restarted like after any crash."""
        if self.pid is None:
            raise StackError(f"{self.process.name} is not running: it is {self.state}")
        restarts = self.restarts
        self._kill_descendants()
        await self._until(lambda: self.restarts > restarts)

    def force(self) -> None:
        """SIGKILL without waiting, and no restart."""
        self._stopping.set()
        self._kill_descendants()

    def abandon(self) -> None:
        """Leave it to its watchdog to stop it, as if this supervisor had died."""
        if self._supervision is not None:
            self._supervision.cancel()
        if self._watchdog is not None and self._watchdog.stdin is not None:
            self._watchdog.stdin.close()

    async def ready(self, restarts: int = 0) -> None:
        """Wait until it is ready and was restarted at least `restarts` times. Raises StackError if it never will."""

        def holds() -> bool:
            return self.state is ProcessState.READY and self.restarts >= restarts

        await self._until(holds)
        if not holds():
            raise self._failure or StackError(f"{self.process.name} will not become ready: it is {self.state}")

    def _supervised(self) -> bool:
        return self._supervision is not None and not self._supervision.done()

    async def _until(self, holds: Callable[[], bool]) -> None:
        """Wait until it holds or the process is no longer kept running."""
        while not holds() and self._supervised():  # noqa: ASYNC110 - simpler than to signal each change of state
            await asyncio.sleep(PROBE_EVERY / 5)

    async def _supervise(self) -> None:
        try:
            await self._keep_running()
        except StartFailed as failure:
            log.warning("stack.process.failed name=%s error=%s", self.process.name, failure)
            self._failure = failure
            self._set_state(ProcessState.FAILED)
        else:
            self._set_state(ProcessState.STOPPED)

    async def _keep_running(self) -> None:
        first, crashes = True, 0
        while not self._stopping.is_set():
            running = await self._spawn()
            self._set_state(ProcessState.STARTING)
            ready_at = await self._until_ready(
                running, time.monotonic() + self.process.start_timeout if first else None
            )
            if ready_at is not None and not first:
                await self._run_restart_hook()
            if ready_at is not None and running.returncode is None:
                self._set_state(ProcessState.READY)
                log.info("stack.process.ready name=%s pid=%d", self.process.name, self.pid)
            how = describe_exit(await self._wait(running))
            if self._stopping.is_set():
                return
            if ready_at is None and first:
                raise StartFailed(self.process.name, f"ended before it was ready ({how})", self.log_file)
            if ready_at is not None and time.monotonic() - ready_at >= HEALTHY_AFTER:
                crashes = 0
            first, crashes = False, crashes + 1
            delay = backoff_s(crashes, base=FIRST_DELAY, longest=LAST_DELAY)
            self.restarts += 1
            self._set_state(ProcessState.RESTARTING)
            log.warning(
                "stack.process.ended name=%s how=%r restart_in=%.2fs restarts=%d log=%s",
                self.process.name, how, delay, self.restarts, self.log_file,
            )  # fmt: skip
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)

    async def _spawn(self) -> asyncio.subprocess.Process:
        """Run it under a watchdog, which alone holds the end of a pipe of ours. Raises StartFailed."""
        process = self.process
        account = ":".join(map(str, process.account)) if process.account else "-"
        options = [str(int(process.stop_signal)), str(process.grace), account, str(process.cwd or "-")]
        with self.log_file.open("ab") as output:
            self._watchdog = running = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", watchdog.__file__, *options, *process.argv),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
                env=dict(process.env),
                pass_fds=(self._lock,),
                start_new_session=True,  # Ctrl-C in the terminal is for the supervisor
            )
        pid = await running.stdout.readline() if running.stdout is not None else b""
        if not pid:
            await running.wait()
            raise StartFailed(process.name, "could not be run", self.log_file)
        self.pid = int(pid)
        if self._stopping.is_set():
            running.terminate()
        return running

    async def _wait(self, running: asyncio.subprocess.Process) -> int:
        """Wait for its end, and that of all it has started."""
        status = await running.wait()
        if status < 0 and self.pid is not None:  # the watchdog was killed: end what the kernel did not end with it
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        self.pid = None
        return status

    async def _until_ready(self, running: asyncio.subprocess.Process, deadline: float | None) -> float | None:
        """The time it became ready, or None when it ended before. Raises StartFailed after the deadline."""
        while running.returncode is None:
            if await self._probe() and running.returncode is None:
                return time.monotonic()
            if deadline is not None and time.monotonic() > deadline and not self._stopping.is_set():
                self._kill_descendants()
                await self._wait(running)
                reason = f"was not ready after {self.process.start_timeout:g} s"
                raise StartFailed(self.process.name, reason, self.log_file)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(running.wait(), PROBE_EVERY)
        return None

    async def _probe(self) -> bool:
        """Whether it says that it is ready. A probe of a process that is killed meanwhile may raise anything."""
        try:
            return await self.process.is_ready()
        except Exception as error:  # noqa: BLE001 (this loop must go on: nothing else starts the process again)
            log.info("stack.probe.failed name=%s error=%r", self.process.name, error)
            return False

    async def _run_restart_hook(self) -> None:
        """Run the caller's hook. One that fails is logged."""
        if self.process.on_restart is not None:
            try:
                await self.process.on_restart()
            except Exception:
                log.exception("stack.restart_hook.failed name=%s", self.process.name)

    def _kill_descendants(self) -> None:
        if self._watchdog is not None and self._watchdog.returncode is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                watchdog.send_signal(psutil.Process(self._watchdog.pid).children(recursive=True), signal.SIGKILL)

    def _set_state(self, state: ProcessState) -> None:
        self.state = state
        self._since = time.time()
        self._changed()
