"""How a command fails: a message, a remedy and an exit code; no traceback."""

from __future__ import annotations


class CommandFailed(Exception):
    """The command failed, or what it checked does not hold: exit code 1."""

    exit_code = 1

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class InvalidArgument(CommandFailed):
    """The command was called with a value that it cannot use: exit code 2, as for an unknown option."""

    exit_code = 2
