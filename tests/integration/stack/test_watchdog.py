"""The watchdog alone: what becomes of its process on SIGTERM, when the supervisor dies and when the watchdog dies."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from switchyard.devstack.supervisor import watchdog
from tests.integration.stack.alive import is_alive

pytestmark = pytest.mark.integration
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs prctl, which is Linux's")

PYTHON = (sys.executable, "-I", "-S", "-c")
WAIT = "import signal\nwhile True: signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)\n" + WAIT


@contextmanager
def watched(*command: str, log: Path, grace: float = 10) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output, (log.parent / "lock").open("wb") as lock:
        options = [str(int(signal.SIGTERM)), str(grace), "-", "-"]
        process = subprocess.Popen(
            [sys.executable, "-I", watchdog.__file__, *options, *command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, pass_fds=(lock.fileno(),), bufsize=0,
        )  # fmt: skip
        with process:
            yield process
            process.kill()


def report(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


def let_go(process: subprocess.Popen[bytes]) -> None:
    """What the kernel does for a supervisor that is killed: close its end of the pipe."""
    assert process.stdin is not None
    process.stdin.close()


def child_of(process: subprocess.Popen[bytes]) -> psutil.Process:
    return psutil.Process(int(report(process)))


@pytest.mark.parametrize(
    ("code", "exit_code"), [("", 0), ("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)]
)
def test_exit_status_is_passed_on(tmp_path: Path, code: str, exit_code: int) -> None:
    with watched(*PYTHON, code, log=tmp_path / "log") as process:
        assert process.wait() == exit_code


def test_process_is_stopped_after_its_supervisor_ended(tmp_path: Path) -> None:
    with watched(*PYTHON, WAIT, log=tmp_path / "log") as process:
        child = child_of(process)
        let_go(process)
        assert process.wait() == 128 + signal.SIGTERM
        assert not is_alive(child)


def test_paused_process_is_stopped_after_its_supervisor_ended(tmp_path: Path) -> None:
    with watched(*PYTHON, WAIT, log=tmp_path / "log") as process:
        child = child_of(process)
        child.suspend()
        let_go(process)
        assert process.wait() == 128 + signal.SIGTERM
        assert not is_alive(child)


def test_process_ignoring_the_signal_is_killed_after_its_grace(tmp_path: Path) -> None:
    log = tmp_path / "log"
    slow_to_die = "ballast = b'x' * (64 << 20)\n" + STUBBORN  # the kernel needs milliseconds to take that back
    with watched(*PYTHON, slow_to_die, log=log, grace=0.2) as process:
        child = child_of(process)
        until_it_says(log, "deaf", child)
        process.terminate()
        assert process.wait() == 128 + signal.SIGKILL
        assert not is_alive(child)


@linux_only
def test_killed_watchdog_kills_its_process(tmp_path: Path) -> None:
    with watched(*PYTHON, WAIT, log=tmp_path / "log") as process:
        child = child_of(process)
        watch = os.pidfd_open(child.pid)
        process.kill()
        wait_for_end(watch)
        assert not is_alive(child)


@linux_only
@pytest.mark.parametrize("end", ["stop", "kill", "supervisor"])
def test_descendants_in_other_sessions_end_with_the_process(
    tmp_path: Path, end: str, descendants: Callable[[int], list[psutil.Process]]
) -> None:
    log = tmp_path / "log"
    code = f"import os\nif os.fork() == 0:\n    os.setsid(); print('child', flush=True)\n{WAIT}"
    with watched(*PYTHON, code, log=log) as process:
        child = child_of(process)
        until_it_says(log, "child", child)
        family = descendants(process.pid)
        assert len(family) == 2
        match end:
            case "stop":
                process.terminate()
            case "kill":
                child.kill()
            case "supervisor":
                let_go(process)
        process.wait()
        assert not [one for one in family if is_alive(one)]


def test_command_that_cannot_run_is_named_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with watched("/no/such/program", log=log) as process:
        assert report(process) == ""
        assert process.wait() == 127
    assert "cannot run /no/such/program" in log.read_text()


def test_process_does_not_inherit_the_lock(tmp_path: Path) -> None:
    code = "import os; print(sorted(fd for fd in range(3, 64) if os.path.exists(f'/dev/fd/{fd}')))"
    log = tmp_path / "log"
    with watched(*PYTHON, code, log=log) as process:
        process.wait()
    assert log.read_text().strip() == "[]"


def until_it_says(log: Path, text: str, writer: psutil.Process) -> None:
    while text not in log.read_text():
        assert is_alive(writer), f"it ended without saying {text!r}"


def wait_for_end(pidfd: int) -> None:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    try:
        assert poller.poll(10_000), "the process is still alive"
    finally:
        os.close(pidfd)
