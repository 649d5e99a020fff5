"""The clock as a dependency, so that tests can own time."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """Wall time and elapsed time."""

    def now(self) -> datetime:
        """The wall clock, in UTC."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        return time.monotonic()


class ShiftedClock(SystemClock):
    """The machine's clocks, with the wall clock moved by the seconds that a file holds: for demos and drills. The file
    may change while the process runs; without it, or with anything but a number in it, nothing is shifted."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def now(self) -> datetime:
        """The wall clock, in UTC, as the file shifts it."""
        try:
            shift = float(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            shift = 0.0
        return super().now() + timedelta(seconds=shift)


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds, as contracts carry it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moment(text: str) -> datetime:
    """The inverse of `timestamp`."""
    return datetime.fromisoformat(text)
