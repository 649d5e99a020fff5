"""Keeps one process running: starts it, waits until it is ready, starts it again when it ends unasked."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from switchyard.devstack.errors import StackError, StartFailed
from switchyard.devstack.supervisor.child import ProcessRun
from switchyard.devstack.supervisor.process import ProcessSpec, ProcessState, ProcessStatus

log = logging.getLogger(__name__)

FIRST_DELAY, LAST_DELAY = 0.2, 5.0  # seconds before the first restart, and at most
HEALTHY_AFTER = 10.0  # seconds of being ready after which earlier crashes are forgotten
PROBE_EVERY, SLOW_PROBE_EVERY = 0.05, 1.0  # seconds; slow when a restarted process takes longer than its start should


def restart_delay(crashes: int, jitter: float) -> float:
    """Seconds to wait before the restart that follows `crashes` earlier ones; `jitter` in [0, 1) takes up to half."""
    return float(min(LAST_DELAY, FIRST_DELAY * 2 ** min(crashes, 10))) * (1 - jitter / 2)


@dataclass(slots=True)
class RestartBackoff:
    """Counts the crashes in a row of one process. Times are in seconds, of a monotonic clock."""

    crashes: int = 0

    def after(self, *, ready_for: float | None, jitter: float) -> float:
        """The delay after a crash, `ready_for` seconds after it became ready (None: it never did)."""
        if ready_for is not None and ready_for >= HEALTHY_AFTER:
            self.crashes = 0
        delay = restart_delay(self.crashes, jitter)
        self.crashes += 1
        return delay


class ManagedProcess:
    """One process and what became of it. `changed` is called after each change of state."""

    def __init__(
        self,
        process: ProcessSpec,
        log_file: Path,
        lock: int,
        changed: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.process = process
        self.log_file = log_file
        self.state = ProcessState.STOPPED
        self.restarts = 0
        self.since = time.time()  # when it entered this state, for people to read
        self._lock = lock
        self._changed = changed
        self._clock = clock
        self._child: ProcessRun | None = None
        self._before_pause = ProcessState.READY
        self._supervision: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._state_changed = asyncio.Event()  # replaced at each change of state

    @property
    def pid(self) -> int | None:
        """The pid of the process itself, not of its guard; None while it does not run."""
        return self._child.pid if self._child is not None and self._child.running() else None

    @property
    def pid_started(self) -> str | None:
        """When the process with that pid was started, in the words of `switchyard.devstack.supervisor.pids`."""
        identity = self._child.identity if self._child is not None and self._child.running() else None
        return None if identity is None else identity.started

    def status(self) -> ProcessStatus:
        """What it is doing now."""
        return ProcessStatus(self.process.name, self.pid, self.state, self.restarts, self.process.port, self.since)

    async def start(self) -> None:
        """Start it and wait until it is ready. Raises StartFailed, then it is not running."""
        if self._supervision is not None and not self._supervision.done():
            raise StackError(f"{self.process.name} is {self.state} already")
        self._stopping = asyncio.Event()
        self._supervision = asyncio.create_task(self._supervise(), name=f"keep {self.process.name}")
        self._supervision.add_done_callback(self._on_supervision_end)
        settled = asyncio.create_task(self.ready())
        try:
            await asyncio.wait({self._supervision, settled}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            settled.cancel()
            with contextlib.suppress(asyncio.CancelledError, StackError):
                await settled
        if self._supervision.done():
            self._supervision.result()
            raise StackError(f"{self.process.name} was stopped while it was starting")

    async def stop(self) -> None:
        """Ask it to end and wait; after its grace it is killed. It stays stopped until `start`."""
        self._stopping.set()
        if self._child is not None:
            self._child.stop()
        if self._supervision is not None:
            await asyncio.wait({self._supervision})

    async def kill(self) -> None:
        """SIGKILL and wait for the end; it is then restarted like after any crash."""
        restarts, child = self.restarts, self._running()
        child.kill()
        await child.wait()
        while self.restarts == restarts and self._supervision is not None and not self._supervision.done():
            await self._state_changed.wait()

    def force(self) -> None:
        """SIGKILL without waiting, and no restart."""
        self._stopping.set()
        if self._child is not None:
            self._child.kill()

    def abandon(self) -> None:
        """Leave it to its guard to stop it, as if this supervisor had died."""
        if self._supervision is not None:
            self._supervision.cancel()
        if self._child is not None:
            self._child.abandon()

    async def pause(self) -> None:
        """SIGSTOP: it holds its leases and connections and does nothing."""
        await self._running().pause()
        if self.state is not ProcessState.PAUSED:
            self._before_pause = self.state
            self._set_state(ProcessState.PAUSED)

    async def resume(self) -> None:
        """Undo `pause`."""
        await self._running().resume()
        if self.state is ProcessState.PAUSED:
            self._set_state(self._before_pause)

    async def ready(self, restarts: int = 0) -> None:
        """Wait until it is ready and was restarted at least `restarts` times. Raises StackError if it never will."""
        while not (self.state is ProcessState.READY and self.restarts >= restarts):
            if self._supervision is None or self._supervision.done():
                raise StackError(f"{self.process.name} will not become ready: it is {self.state}")
            await self._state_changed.wait()

    async def _supervise(self) -> None:
        backoff = RestartBackoff()
        first = True
        while not self._stopping.is_set():
            self._child = await ProcessRun.start(self.process, self.log_file, self._lock)
            self._set_state(ProcessState.STARTING)
            ready_at = await self._until_ready(self._child, first=first)
            if ready_at is not None and not first:
                await self._run_restart_hook(self._child)
            if ready_at is not None and self._child.running():
                self._set_state(ProcessState.READY)
                log.info("stack.process.ready name=%s pid=%d", self.process.name, self._child.pid)
            status = await self._child.wait()
            if self._stopping.is_set():
                break
            if ready_at is None and first:
                raise StartFailed(
                    self.process.name, f"ended before it was ready ({describe_exit(status)})", self.log_file
                )
            first = False
            ready_for = None if ready_at is None else self._clock() - ready_at
            delay = backoff.after(ready_for=ready_for, jitter=random.random())  # noqa: S311 - not a secret
            self.restarts += 1
            self._set_state(ProcessState.RESTARTING)
            log.warning(
                "stack.process.ended name=%s how=%r restart_in=%.2fs restarts=%d log=%s",
                self.process.name, describe_exit(status), delay, self.restarts, self.log_file,
            )  # fmt: skip
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)
        self._set_state(ProcessState.STOPPED)

    async def _until_ready(self, child: ProcessRun, *, first: bool) -> float | None:
        """The time it became ready, or None when it ended before. A first start that takes too long is a failure."""
        if self._stopping.is_set():
            child.stop()
        started = self._clock()
        while child.running():
            if await self.process.probe() and child.running():
                return self._clock()
            late = self._clock() - started > self.process.start_timeout
            if late and first and not self._stopping.is_set():
                child.kill()
                await child.wait()
                reason = f"was not ready after {self.process.start_timeout:g} s"
                raise StartFailed(self.process.name, reason, self.log_file)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(child.wait(), SLOW_PROBE_EVERY if late else PROBE_EVERY)
        return None

    async def _run_restart_hook(self, child: ProcessRun) -> None:
        """Run the caller's hook to its end, or the child's. A hook that fails is logged; the child stays supervised."""
        if self.process.on_restart is None:
            return
        hook = asyncio.ensure_future(self.process.on_restart())
        ended = asyncio.ensure_future(child.wait())
        try:
            await asyncio.wait({hook, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hook.cancel()
            ended.cancel()
            await asyncio.wait({hook, ended})
        if not hook.cancelled() and (error := hook.exception()) is not None:
            log.error("stack.restart_hook.failed name=%s", self.process.name, exc_info=error)

    def _running(self) -> ProcessRun:
        if self._child is None or not self._child.running():
            raise StackError(f"{self.process.name} is not running: it is {self.state}")
        return self._child

    def _set_state(self, state: ProcessState) -> None:
        self.state = state
        self.since = time.time()
        previous_event, self._state_changed = self._state_changed, asyncio.Event()
        previous_event.set()
        self._changed()

    def _on_supervision_end(self, supervision: asyncio.Task[None]) -> None:
        if supervision.cancelled():
            self._state_changed.set()  # whoever waits for it to become ready learns that it will not
        elif (error := supervision.exception()) is not None:
            log.error("stack.process.failed name=%s error=%s", self.process.name, error)
            self._set_state(ProcessState.FAILED)


def describe_exit(status: int) -> str:
    """How a process ended, in words."""
    return f"exit status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"
