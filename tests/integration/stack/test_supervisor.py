"""Toy processes under a supervisor: readiness, crashes, back-off, and orders for one process by name."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Callable
from pathlib import Path

import asyncpg
import psutil
import pytest

from switchyard.devstack.errors import StackError, StartFailed
from switchyard.devstack.supervisor import managed_process
from switchyard.devstack.supervisor.ports import PortAllocator
from switchyard.devstack.supervisor.process import ProcessState, ServiceSpec
from switchyard.devstack.supervisor.supervisor import Supervisor
from tests.integration.stack.alive import is_alive

pytestmark = pytest.mark.integration

MakeToy = Callable[..., ServiceSpec]
PORTS = PortAllocator()


def as_process(service: ServiceSpec) -> ServiceSpec:
    return service.on_port(PORTS.allocate(service.name), {"PATH": os.defpath})


async def test_delay_grows_with_each_crash_and_starts_over_after_a_healthy_run(
    supervisor: Supervisor, toy: MakeToy, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashes: list[int] = []

    def no_delay(failures: int, **_: float) -> float:
        crashes.append(failures)
        return 0.0

    monkeypatch.setattr(managed_process, "backoff_s", no_delay)
    await supervisor.start([as_process(toy())])
    for number in range(1, 4):
        if number == 3:
            monkeypatch.setattr(managed_process, "HEALTHY_AFTER", 0.0)
        await supervisor["toy"].kill()
        await supervisor["toy"].ready(restarts=number)
    assert crashes == [1, 2, 1]


async def test_killed_process_is_restarted_on_the_same_port(supervisor: Supervisor, toy: MakeToy) -> None:
    await supervisor.start([as_process(toy())])
    before = supervisor.status()[0]
    await supervisor["toy"].kill()
    assert supervisor["toy"].state is ProcessState.RESTARTING
    await supervisor["toy"].ready(restarts=1)
    after = supervisor.status()[0]
    assert (after.restarts, after.port, after.state) == (1, before.port, ProcessState.READY)
    assert after.pid != before.pid


async def test_probe_that_raises_means_not_ready_and_ends_no_supervision(supervisor: Supervisor, toy: MakeToy) -> None:
    failures = [RuntimeError("cannot switch to state 12"), asyncpg.InternalClientError("another operation"), OSError()]

    async def probe() -> bool:
        if failures:
            raise failures.pop()
        return True

    await supervisor.start([as_process(dataclasses.replace(toy(), probe=probe))])
    failures.append(RuntimeError("killed while it started"))
    await supervisor["toy"].kill()
    await supervisor["toy"].ready(restarts=1)
    assert failures == []


async def test_service_killed_by_its_own_pid_is_restarted(supervisor: Supervisor, toy: MakeToy) -> None:
    await supervisor.start([as_process(toy())])
    pid = supervisor["toy"].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await supervisor["toy"].ready(restarts=1)
    assert supervisor["toy"].pid != pid


async def test_service_whose_watchdog_is_killed_is_restarted(
    supervisor: Supervisor, toy: MakeToy, descendants: Callable[[int], list[psutil.Process]]
) -> None:
    await supervisor.start([as_process(toy())])
    watchdog, service = descendants(os.getpid())[:2]
    assert service.pid == supervisor["toy"].pid
    os.kill(watchdog.pid, signal.SIGKILL)
    await supervisor["toy"].ready(restarts=1)
    assert not is_alive(service)


async def test_stopped_process_stays_stopped_until_it_is_started(supervisor: Supervisor, toy: MakeToy) -> None:
    await supervisor.start([as_process(toy())])
    await supervisor["toy"].stop()
    assert (supervisor["toy"].state, supervisor["toy"].pid) == (ProcessState.STOPPED, None)
    await supervisor["toy"].start()
    assert (supervisor["toy"].state, supervisor["toy"].restarts) == (ProcessState.READY, 0)


async def test_process_waiting_for_its_restart_can_be_stopped(supervisor: Supervisor, toy: MakeToy) -> None:
    await supervisor.start([as_process(toy())])
    await supervisor["toy"].kill()
    await supervisor["toy"].stop()
    assert supervisor["toy"].state is ProcessState.STOPPED


async def test_process_not_running_cannot_be_killed(supervisor: Supervisor, toy: MakeToy) -> None:
    await supervisor.start([as_process(toy())])
    await supervisor["toy"].stop()
    with pytest.raises(StackError, match="toy is not running: it is stopped"):
        await supervisor["toy"].kill()


async def test_unknown_name_is_refused_with_the_known_ones(supervisor: Supervisor, toy: MakeToy) -> None:
    await supervisor.start([as_process(toy("drafter"))])
    with pytest.raises(StackError, match=r"no process 'draftr' in this stack; there are drafter"):
        supervisor["draftr"]


async def test_process_ending_during_start_is_reported_with_log_tail(supervisor: Supervisor, toy: MakeToy) -> None:
    with pytest.raises(
        StartFailed, match=r"(?s)ended before it was ready \(exit status 3\).*toy\.log.*COLOUR is missing"
    ):
        await supervisor.start([as_process(toy("toy", "crash"))])
    assert supervisor["toy"].state is ProcessState.FAILED


async def test_process_never_ready_is_killed_and_reported_with_log_tail(supervisor: Supervisor, toy: MakeToy) -> None:
    with pytest.raises(StartFailed, match=r"(?s)was not ready after 0\.5 s.*toy\.log.*toy: starting"):
        await supervisor.start([as_process(toy("toy", "never", start_timeout=0.5))])
    assert supervisor["toy"].pid is None


async def test_start_failure_does_not_wait_for_the_other_processes(supervisor: Supervisor, toy: MakeToy) -> None:
    slow = toy("slow", "never", start_timeout=100)
    with pytest.raises(StartFailed, match="drafter ended before it was ready"):
        await supervisor.start([as_process(slow), as_process(toy("drafter", "crash"))])


async def test_stopped_process_may_finish_its_work(supervisor: Supervisor, toy: MakeToy, home: Path) -> None:
    proof = home / "proof"
    await supervisor.start([as_process(toy("database"))])
    database = f"tcp://127.0.0.1:{supervisor['database'].process.port}"
    await supervisor.start([as_process(toy("toy", "drain", env={"TOY_FILE": str(proof), "TOY_DATABASE": database}))])
    await supervisor["toy"].stop()
    assert proof.read_text() == "drained"


async def test_process_ignoring_its_stop_is_killed_after_its_grace(supervisor: Supervisor, toy: MakeToy) -> None:
    await supervisor.start([as_process(toy("toy", "stubborn", grace=0.2))])
    await supervisor["toy"].stop()
    assert supervisor["toy"].state is ProcessState.STOPPED


async def test_restart_hook_runs_before_process_is_ready(supervisor: Supervisor, toy: MakeToy) -> None:
    states: list[ProcessState] = []

    async def hook() -> None:
        states.append(supervisor["toy"].state)

    await supervisor.start([dataclasses.replace(as_process(toy()), on_restart=hook)])
    assert states == []
    await supervisor["toy"].kill()
    await supervisor["toy"].ready(restarts=1)
    assert states == [ProcessState.STARTING]


async def test_failing_restart_hook_is_logged_and_the_process_stays_supervised(
    supervisor: Supervisor, toy: MakeToy, caplog: pytest.LogCaptureFixture
) -> None:
    async def hook() -> None:
        raise RuntimeError("no such bus")

    await supervisor.start([dataclasses.replace(as_process(toy()), on_restart=hook)])
    await supervisor["toy"].kill()
    await supervisor["toy"].ready(restarts=1)
    assert "stack.restart_hook.failed name=toy" in caplog.text
    assert "no such bus" in caplog.text
    await supervisor["toy"].kill()
    await supervisor["toy"].ready(restarts=2)


async def test_crash_is_logged_with_its_cause_and_log_file(
    supervisor: Supervisor, toy: MakeToy, caplog: pytest.LogCaptureFixture
) -> None:
    await supervisor.start([as_process(toy())])
    await supervisor["toy"].kill()
    await supervisor["toy"].ready(restarts=1)
    assert "stack.process.ended name=toy how='killed by SIGKILL'" in caplog.text
    assert "toy.log" in caplog.text
