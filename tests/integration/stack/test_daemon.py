"""`up`, `down` and `status`, and what is left when the supervisor is killed: it runs in a process of its own here."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest

from switchyard.devstack.errors import AlreadyRunning, StackError
from switchyard.devstack.stack.daemon import running_endpoints, stack_status, start_stack, stop_stack
from switchyard.devstack.stack.home import Home
from switchyard.devstack.stack.postgres import WORK_DATABASE
from switchyard.devstack.stack.running import running_exports
from switchyard.devstack.supervisor.process import ProcessState
from tests.integration.stack.alive import is_alive

pytestmark = pytest.mark.integration

Descendants = Callable[[int], list[psutil.Process]]
Survivors = Callable[[list[psutil.Process]], list[psutil.Process]]
HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def importable_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HERE))


def supervisor_of(home: Path) -> psutil.Process:
    pid = Home(home).supervisor()
    assert pid is not None
    return psutil.Process(pid)


def test_detached_stack_runs_until_stack_down(used_home: Path, descendants: Descendants, survivors: Survivors) -> None:
    start_stack("toy_plan:two_services", used_home, detach=True)
    rows = stack_status(used_home)
    assert {row.name for row in rows} == {"postgres", "emulator", "router", "drafter"}
    assert {row.state for row in rows} == {ProcessState.READY}
    assert all((row.uptime(time.time()) or -1) >= 0 for row in rows)
    for row in json.loads((used_home / "stack.json").read_text())["processes"]:
        assert is_alive(psutil.Process(row["pid"]))
    assert running_exports(used_home)["AWS_ENDPOINT_URL"] == running_endpoints(used_home).aws
    supervisor = supervisor_of(used_home)
    family = [supervisor, *descendants(supervisor.pid)]
    assert stop_stack(used_home)
    assert survivors(family) == []
    assert stack_status(used_home) == []
    assert not stop_stack(used_home)


def test_killed_supervisor_leaves_no_process(
    used_home: Path, descendants: Descendants, survivors: Survivors, until_free: Callable[[Path], None]
) -> None:
    start_stack("toy_plan:two_services", used_home, detach=True)
    supervisor = supervisor_of(used_home)

    async def kill_it_during_a_query() -> list[psutil.Process]:
        session = await asyncpg.connect(running_endpoints(used_home).dsn(WORK_DATABASE))
        query = asyncio.create_task(session.execute("SELECT pg_sleep(600)"))
        try:
            await asyncio.to_thread(until_it_queries, session.get_server_pid())
            family = descendants(supervisor.pid)
            assert session.get_server_pid() in {one.pid for one in family}
            os.kill(supervisor.pid, signal.SIGKILL)
            with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
                await query
        finally:
            session.terminate()
        return family

    family = asyncio.run(kill_it_during_a_query())
    until_free(used_home)
    assert len(family) >= 4 * 2 + 1 + 4  # watchdogs and their processes, the toy's offspring, PostgreSQL's workers
    assert survivors(family) == []


def test_killed_supervisor_state_is_stale_and_replaced_on_start(used_home: Path) -> None:
    start_stack("toy_plan:two_services", used_home, detach=True)
    before = supervisor_of(used_home)
    ports = running_endpoints(used_home)
    os.kill(before.pid, signal.SIGKILL)
    before.wait(timeout=10)
    start_stack("toy_plan:two_services", used_home, detach=True)  # waits for the watchdogs of the dead one
    after = supervisor_of(used_home)
    assert after != before
    assert json.loads((used_home / "stack.json").read_text())["supervisor"] == after.pid
    assert running_endpoints(used_home) == ports
    stop_stack(used_home)


def test_second_start_is_refused_with_the_pid_and_the_stop_command(used_home: Path) -> None:
    start_stack("toy_plan:two_services", used_home, detach=True)
    pid = supervisor_of(used_home).pid
    for detach in (True, False):
        with pytest.raises(AlreadyRunning, match=rf"pid {pid}\).*`switchyard stack down` or `kill {pid}`"):
            run_up("toy_plan:two_services", used_home, detach=detach)
    assert {row.state for row in stack_status(used_home)} == {ProcessState.READY}
    stop_stack(used_home)


def test_detached_start_that_fails_names_the_cause_and_leaves_nothing(used_home: Path) -> None:
    with pytest.raises(StackError, match=r"(?s)drafter ended before it was ready.*COLOUR is missing"):
        start_stack("toy_plan:crashing_service", used_home, detach=True)
    assert not Home(used_home).in_use()


def test_unimportable_plan_error_names_the_log(home: Path) -> None:
    with pytest.raises(StackError, match=r"its supervisor ended; see .*stack\.log"):
        start_stack("no_such_plan:at_all", home, detach=True)
    assert "No module named 'no_such_plan'" in (home / "logs" / "stack.log").read_text()


def test_endpoints_without_a_stack_name_the_start_command(home: Path) -> None:
    with pytest.raises(StackError, match="no stack is running in"):
        running_endpoints(home)
    assert stack_status(home) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_foreground_stack_stops_cleanly(
    used_home: Path, number: signal.Signals, descendants: Descendants, survivors: Survivors
) -> None:
    with foreground("two_services", used_home) as process:
        family = descendants(process.pid)
        process.send_signal(number)
        assert process.wait() == 0
    assert survivors(family) == []


def test_second_ctrl_c_kills_draining_processes(
    used_home: Path, descendants: Descendants, survivors: Survivors
) -> None:
    with foreground("stubborn_service", used_home) as process:
        family = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        log = used_home / "logs" / "stack.log"
        while "stack.stopping" not in log.read_text():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
    assert survivors(family) == []


def test_forced_stack_down_does_not_wait_for_the_drain(used_home: Path) -> None:
    start_stack("toy_plan:stubborn_service", used_home, detach=True)
    started = time.monotonic()
    stop_stack(used_home, force=True)
    assert time.monotonic() - started < 30  # its grace is 60


@contextmanager
def foreground(plan: str, home: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, str(HERE / "toy_foreground.py"), plan, str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        try:
            yield process
        finally:
            process.kill()


def until_it_queries(worker: int) -> None:
    """PostgreSQL writes what a worker does into its command line."""
    while "SELECT" not in "".join(psutil.Process(worker).cmdline()):
        pass


def run_up(plan: str, home: Path, *, detach: bool) -> None:
    sys.path.insert(0, str(HERE))
    try:
        start_stack(plan, home, detach=detach)
    finally:
        sys.path.remove(str(HERE))
