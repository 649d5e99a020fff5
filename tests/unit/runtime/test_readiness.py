"""Readiness: what `/health/started` and `/health/ready` answer, and what is logged when it changes."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.testclient import TestClient
from structlog.testing import capture_logs

from switchyard.runtime.process.web import UNREADY_ALARM_S, Readiness, build_health_app


@dataclass
class Process:
    """A process with two checks, and a clock of its own."""

    database: bool = False
    queue: bool = True
    time: float = 0.0
    readiness: Readiness = field(init=False)

    def __post_init__(self) -> None:
        checks = {"database": lambda: self.database, "queue": lambda: self.queue}
        self.readiness = Readiness(checks, now=lambda: self.time)

    def status(self, path: str) -> int:
        """What the health page answers."""
        return TestClient(build_health_app(self.readiness)).get(path).status_code


def test_started_is_refused_until_the_process_was_ready_once() -> None:
    process = Process()
    assert (process.status("/health/live"), process.status("/health/started")) == (200, 503)
    process.database = True
    assert process.status("/health/started") == 200
    # An outage restarts no task: ECS asks for `started`, and only `ready` says that something is away.
    process.database = False
    assert (process.status("/health/ready"), process.status("/health/started")) == (503, 200)


def test_readiness_change_is_logged_once_with_what_fails() -> None:
    process = Process(database=True)
    with capture_logs() as lines:
        for _ in range(3):
            process.readiness.look()
        process.queue = False
        for _ in range(3):
            process.readiness.look()
        process.queue = True
        process.readiness.look()
    assert [(line["event"], line.get("failing")) for line in lines] == [
        ("process.is_ready", None),
        ("process.unready", ["queue"]),
        ("process.is_ready", None),
    ]


def test_unready_process_raises_one_alarm_when_it_lasts() -> None:
    process = Process(database=True)
    process.readiness.look()
    with capture_logs() as lines:
        process.database = False
        process.readiness.look()
        process.time = UNREADY_ALARM_S - 1
        process.readiness.look()
        assert [line for line in lines if "alarm" in line] == []
        for process.time in (UNREADY_ALARM_S, UNREADY_ALARM_S + 50):
            process.readiness.look()
    [alarm] = [line for line in lines if "alarm" in line]
    assert (alarm["alarm"], alarm["failing"]) == ("unready", ["database"])


def test_process_that_never_becomes_ready_raises_the_alarm() -> None:
    process = Process()
    with capture_logs() as lines:
        process.readiness.look()
        process.time = UNREADY_ALARM_S
        process.readiness.look()
    assert [line.get("alarm") for line in lines] == [None, "unready"]


def test_check_that_raises_fails_alone() -> None:
    def raises() -> bool:
        raise KeyError("subscriber")

    readiness = Readiness({"broken": raises, "queue": lambda: True})
    assert readiness.look() == ["broken"]
