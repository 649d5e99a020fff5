"""How a command fails: one sentence, and what to do about it."""

from __future__ import annotations


class CommandFailed(Exception):
    """Ends a command with exit code 1 and this message; no traceback."""

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
