"""One run of a process, under its guard."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

from switchyard.devstack.errors import StartFailed
from switchyard.devstack.supervisor import watchdog
from switchyard.devstack.supervisor.pids import ProcessId
from switchyard.devstack.supervisor.process import ProcessSpec


class ProcessRun:
    """A running process. Orders go through its guard, the only one that signals it: a reused pid is never hit."""

    def __init__(self, process: asyncio.subprocess.Process, pid: int) -> None:
        self.pid = pid
        self.identity = ProcessId.of(pid)  # None if it has ended already
        self._guard = process
        self._answers: dict[str, asyncio.Future[None]] = {}
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, process: ProcessSpec, log: Path, lock: int) -> ProcessRun:
        """Run `process`, its output appended to `log`. `lock` is the home's lock. Raises StartFailed."""
        with log.open("ab") as output:
            running = await asyncio.create_subprocess_exec(
                *shim_command(process, lock),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
                env=dict(process.env),
                pass_fds=(lock,),
                start_new_session=True,  # Ctrl-C in the terminal is for the supervisor
            )
        word, pid = await _read_report(running)
        if word != "started":
            await _close(running)
            raise StartFailed(process.name, "could not be run", log)
        return cls(running, pid)

    def stop(self) -> None:
        """Ask it to end; its guard kills it when it has not after its grace."""
        self._order("t")

    def kill(self) -> None:
        """SIGKILL, at once, for it and all that it has started."""
        self._order("k")

    async def pause(self) -> None:
        """SIGSTOP for it and all that it has started; returns when the signals are sent."""
        await self._ask("p", "paused")

    async def resume(self) -> None:
        """Undo `pause`."""
        await self._ask("c", "continued")

    async def wait(self) -> int:
        """Wait for its end, and that of all it has started. Returns the exit status; -N means signal N."""
        return await asyncio.shield(self._listening)

    def running(self) -> bool:
        """Whether it has not been seen to end."""
        return not self._listening.done()

    def abandon(self) -> None:
        """Let go of the leash without waiting: the guard stops the process as if this supervisor had died."""
        self._listening.cancel()
        if self._guard.stdin is not None:
            self._guard.stdin.close()

    async def _listen(self) -> int:
        status: int | None = None
        while True:
            word, number = await _read_report(self._guard)
            if word == "exited":
                status = number
            elif word == "":
                break
            elif answer := self._answers.pop(word, None):
                answer.set_result(None)
        for answer in self._answers.values():
            answer.cancel()
        await _close(self._guard)
        if status is None:  # the guard itself was killed: end what the kernel did not end with it
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            return -signal.SIGKILL
        return status

    def _order(self, letter: str) -> None:
        if self.running() and self._guard.stdin is not None:
            self._guard.stdin.write(letter.encode())

    async def _ask(self, letter: str, answer: str) -> None:
        if self.running():
            waiting = self._answers.setdefault(answer, asyncio.get_running_loop().create_future())
            self._order(letter)
            await asyncio.shield(waiting)


def shim_command(process: ProcessSpec, lock: int) -> list[str]:
    """The command line that runs `process` under a guard. -I and -S: no site packages, so it starts in 20 ms."""
    account = ":".join(map(str, process.account)) if process.account else "-"
    options = [str(int(process.stop_signal)), str(process.grace), account, str(lock), str(process.cwd or "-")]
    return [sys.executable, "-I", "-S", watchdog.__file__, *options, *process.argv]


async def _read_report(running: asyncio.subprocess.Process) -> tuple[str, int]:
    """The next line of the guard's report; ("", 0) when there is no more."""
    if running.stdout is None:
        return "", 0
    word, _, number = (await running.stdout.readline()).decode().strip().partition(" ")
    return word, int(number or 0)


async def _close(running: asyncio.subprocess.Process) -> None:
    if running.stdin is not None:
        running.stdin.close()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await running.stdin.wait_closed()
    await running.wait()
