"""The clock of the stack that the demo runs on: a file with seconds, which every process reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

DEMO_HOUR = 17
"""UTC, at which the demo's clock starts: the working day on the American mainland, and too early in Hawaii."""

NIGHT_LENGTH = timedelta(hours=4)
"""By how much the demo sets its clock forward when everything that is left waits for the morning."""

CLOCK_FILE_MODE = 0o644
"""A container reads it as another user."""


def start_clock(file: Path) -> None:
    """Set the stack's clock back to the demo's hour, so far that the night still fits in before the true time.

    Back and not forward: an event that is dated after its row was recorded is a finding of `audit verify`.
    """
    now = datetime.now(UTC)
    start = now.replace(hour=DEMO_HOUR, minute=5, second=0, microsecond=0)
    start -= timedelta(days=1) if start > now - NIGHT_LENGTH - timedelta(hours=1) else timedelta(0)
    _write(file, start - now)


def advance_clock(file: Path, by: timedelta) -> None:
    """Let time pass."""
    _write(file, timedelta(seconds=float(file.read_text(encoding="utf-8"))) + by)


def restore_true_time(file: Path) -> None:
    """Let the stack live in the true time again, which the demo's clock never overtakes."""
    file.unlink(missing_ok=True)


def _write(file: Path, shift: timedelta) -> None:
    """In one step: a reader sees the old shift or the new one."""
    draft = file.with_suffix(".new")
    draft.write_text(f"{shift.total_seconds():.0f}\n", encoding="utf-8")
    draft.chmod(CLOCK_FILE_MODE)
    draft.replace(file)
