"""Runs one process, and ends it with all that it started when the supervisor ends, by kill -9 included.

`switchyard.devstack.supervisor.managed_process` runs it, once per process, as
`python -I watchdog.py STOP_SIGNAL GRACE UID:GID CWD COMMAND...` (`-` for no account, no folder).

- Standard input is a pipe that only the supervisor holds: at its end the process has ORPHAN_GRACE seconds to stop.
- SIGTERM asks the process to stop with STOP_SIGNAL; after GRACE seconds it is killed.
- Standard output gets the process's pid; standard error is the process's log. The exit status is the process's.
- The home folder's lock is inherited and stays open, so that a home is in use until its last process has ended.

On Linux the watchdog adopts what its process leaves behind (PR_SET_CHILD_SUBREAPER: PostgreSQL's workers are sessions
of their own, which no signal to a process group reaches), and the kernel kills the process when the watchdog itself is
killed (PR_SET_PDEATHSIG, see prctl(2)). Elsewhere only children and the process group are signalled.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable

import psutil

ORPHAN_GRACE = 3.0  # seconds to stop when the supervisor is dead
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
STDIN, STDOUT, STDERR = 0, 1, 2


def prctl(option: int, value: int) -> None:
    """Set a process attribute of Linux's prctl(2)."""
    if LIBC is not None and LIBC.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


def send_signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    """Signal all `processes`; one that has ended meanwhile is no failure."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def run_process(command: list[str], account: str, cwd: str) -> subprocess.Popen[bytes]:
    """Start it in a session of its own. Raises OSError when it cannot be run."""
    watchdog = os.getpid()

    def die_with_watchdog() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # here, because setuid clears it
        if os.getppid() != watchdog:
            os._exit(127)

    uid, _, gid = account.partition(":")
    identity = {} if account == "-" else {"user": int(uid), "group": int(gid), "extra_groups": ()}
    return subprocess.Popen(  # type: ignore[no-any-return, call-overload]
        command, stdin=subprocess.DEVNULL, stdout=STDERR, cwd=None if cwd == "-" else cwd, start_new_session=True,
        preexec_fn=die_with_watchdog, **identity,  # noqa: PLW1509 - there are no threads here
    )  # fmt: skip


def wait_for_end(child: subprocess.Popen[bytes], stop_signal: int, grace: float, wakeup: int) -> int:
    """Wait for the child's end; stop it on SIGTERM and when the supervisor is gone. Returns its exit status."""
    watched, deadline = [STDIN, wakeup], float("inf")

    def stop(within: float) -> float:
        if deadline == float("inf"):
            os.killpg(child.pid, stop_signal)
            send_signal(psutil.Process().children(recursive=True), signal.SIGCONT)  # a paused process would miss it
        return min(deadline, time.monotonic() + within)

    while (status := child.poll()) is None:
        left = None if deadline == float("inf") else max(0.0, deadline - time.monotonic())
        readable = select.select(watched, (), (), left)[0]
        if STDIN in readable and not os.read(STDIN, 64):
            watched = [wakeup]
            deadline = stop(ORPHAN_GRACE)
        if wakeup in readable and set(os.read(wakeup, 64)) - {signal.SIGCHLD}:
            deadline = stop(grace)
        if time.monotonic() >= deadline:
            send_signal(psutil.Process().children(recursive=True), signal.SIGKILL)
    return status


def kill_descendants(child: int) -> None:
    """End all that the child has left behind."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: no permission for a group of zombies
        os.killpg(child, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            send_signal(psutil.Process().children(recursive=True), signal.SIGKILL)
            os.waitpid(-1, 0)


def main(stop_signal: str, grace: str, account: str, cwd: str, *command: str) -> int:
    """Run one process; returns its exit status, or 128 + the signal that ended it."""
    wakeup, wakeup_write = os.pipe()
    os.set_blocking(wakeup_write, False)
    signal.set_wakeup_fd(wakeup_write)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # the wake-up pipe does the work
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        child = run_process(list(command), account, cwd)
    except OSError as error:
        os.write(STDERR, f"cannot run {command[0]}: {error}\n".encode())
        return 127
    with contextlib.suppress(BrokenPipeError):
        os.write(STDOUT, f"{child.pid}\n".encode())
    status = wait_for_end(child, int(stop_signal), float(grace), wakeup)
    kill_descendants(child.pid)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
