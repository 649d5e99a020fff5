"""Which process a pid means: pids are reused, so a recorded one counts only together with its start time."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A pid and the start time it had when it was recorded (an opaque text)."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """The identity of a running process, or None when no process has this pid."""
        started = _started(pid)
        return None if started is None else cls(pid, started)

    def is_alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        return _started(self.pid) == self.started


def command_line(pid: int) -> str | None:
    """The command line of the process that has `pid` now, or None."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").replace("\0", " ").strip()
        except (FileNotFoundError, ProcessLookupError):
            return None
    return _ps("command", pid)


def _started(pid: int) -> str | None:
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = stat.rpartition(")")[2].split()  # proc_pid_stat(5): the third field on
        return None if fields[0] in {"Z", "X"} else fields[19]
    return None if (_ps("stat", pid) or "Z").startswith("Z") else _ps("lstart", pid)


def _ps(column: str, pid: int) -> str | None:
    found = subprocess.run(["ps", "-o", f"{column}=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None
