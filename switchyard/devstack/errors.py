"""What can go wrong with the local stack; each message says what to do."""

from __future__ import annotations

from pathlib import Path

TAIL_LINES = 15


class StackError(RuntimeError):
    """The local stack cannot do what was asked. The message names the cause and the remedy."""


class AlreadyRunning(StackError):
    """Another stack uses this home folder. Remedy: stop it, or set SWITCHYARD_HOME to another folder."""

    def __init__(self, home: Path, pid: int) -> None:
        super().__init__(
            f"a stack is already running in {home} (supervisor pid {pid}). Stop it with `switchyard stack down`"
            f" or `kill {pid}`, or set SWITCHYARD_HOME to another folder."
        )
        self.pid = pid


class StartFailed(StackError):
    """A process ended or stayed unready when it was started. The message holds the end of its log."""

    def __init__(self, name: str, reason: str, log: Path) -> None:
        super().__init__(f"{name} {reason}. Its log is {log}; the last lines:\n{read_log_tail(log)}")
        self.name = name
        self.log = log


def read_log_tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last `lines` lines of a log, indented; for an empty log, a line that says so."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 8192))
        last = file.read().decode(errors="replace").splitlines()[-lines:]
    return "\n".join(f"    {line}" for line in last) or "    (the log is empty)"
