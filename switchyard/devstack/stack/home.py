"""The stack's home folder: its layout, the lock that lets one stack use it at a time, and the state file.

.switchyard/
    stack.lock          held by the supervisor and by every watchdog; holds the supervisor's pid
    stack.json          what runs, where, and what to export to reach it (0600: it holds the password)
    logs/<name>.log     one per process, and stack.log of the supervisor; the previous run's as <name>.log.1
    postgres/           PostgreSQL's data; postgres.password (0600) its owner's password
    emulator/           ministack's queues, rules and objects, saved when it stops
    identity/           keys and databases of the local identity provider and token exchange
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from switchyard.devstack.errors import AlreadyRunning

# Traversable, not listable: as root, PostgreSQL runs under another account and must reach its data in here.
HOME_MODE = 0o711


DEMO_HOME = "demo"
"""The demo's home, inside the default one: each run starts it afresh and leaves it readable."""


def default_home() -> Path:
    """The folder named by SWITCHYARD_HOME, or `.switchyard` under the current directory."""
    return Path(os.environ.get("SWITCHYARD_HOME") or ".switchyard").absolute()


@contextmanager
def temporary_home() -> Iterator[Path]:
    """A home that is deleted afterwards, for tests and demonstrations. The stack in it must have stopped by then."""
    folder = Path(tempfile.mkdtemp(prefix="switchyard-"))
    folder.chmod(HOME_MODE)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


class Home:
    """Paths and files of one home folder. Nothing is created before `prepare`."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or default_home()).absolute()
        self.logs = self.folder / "logs"
        self._lock = self.folder / "stack.lock"
        self._state = self.folder / "stack.json"

    def prepare(self) -> None:
        """Create the folders that are missing."""
        self.folder.mkdir(mode=HOME_MODE, parents=True, exist_ok=True)
        self.logs.mkdir(mode=0o700, exist_ok=True)

    def log(self, name: str) -> Path:
        """The log file of the process `name`."""
        return self.logs / f"{name}.log"

    def new_log(self, name: str) -> Path:
        """An empty log file for `name`; the previous run's is kept under `.1`."""
        log = self.log(name)
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        log.touch()
        return log

    def lock(self) -> int:
        """Take the lock and return its descriptor; the lock is free again when all that inherited it have closed it.

        Raises AlreadyRunning with the supervisor's pid, or with a dead one's while its watchdogs still stop processes.
        """
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise AlreadyRunning(self.folder, self._holder()[0]) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {psutil.Process().create_time()}".encode(), 0)
        return descriptor

    def stored(self) -> list[Path]:
        """What a stack has written here and would find again; a file of anyone else's is not among it."""
        if not self._state.exists() and not self._lock.exists():
            return []
        names = ("clock", "emulator", "identity", "logs", "postgres", "postgres.password", "stack.json", "stack.lock")
        return [self.folder / name for name in names if (self.folder / name).exists()]

    def in_use(self) -> bool:
        """Whether anything of a stack still runs on this home, be it only a process that is being stopped."""
        if not self._lock.exists():
            return False
        with self._lock.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def supervisor(self) -> int | None:
        """The pid of the supervisor that runs on this home now, or None. A reused pid has another start time."""
        pid, created = self._holder()
        try:
            process = psutil.Process(pid)
            same = abs(process.create_time() - created) < 1 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return pid if same and self.in_use() else None

    def _holder(self) -> tuple[int, float]:
        """The pid and start time of the supervisor that took the lock last."""
        pid, _, created = (self._lock.read_text(encoding="utf-8") if self._lock.exists() else "").partition(" ")
        return int(pid or 0), float(created or 0)

    def read_state(self) -> dict[str, Any] | None:
        """What the last supervisor wrote; it may be dead by now (see `supervisor`). None when there was none."""
        if not self._state.exists():
            return None
        state: dict[str, Any] = json.loads(self._state.read_text(encoding="utf-8"))
        return state

    def write_state(self, state: dict[str, Any]) -> None:
        """Replace the state file in one step: a reader sees the old one or the new one."""
        self.write_secret(self._state, json.dumps(state, indent=2))

    def write_secret(self, path: Path, text: str) -> None:
        """Write a file that only its owner may read, in one step."""
        descriptor, draft = tempfile.mkstemp(dir=self.folder, prefix=f".{path.name}.")  # mkstemp creates it 0600
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(draft).replace(path)
