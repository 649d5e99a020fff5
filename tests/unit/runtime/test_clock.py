"""Time may be set forward on a laptop, and nowhere else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from switchyard.runtime.core.clock import ShiftedClock, moment, timestamp
from switchyard.runtime.core.settings import InvalidSettings, ProcessSettings


def test_timestamp_is_read_back_unchanged() -> None:
    now = datetime(2026, 7, 1, 8, 0, 0, 123456, tzinfo=UTC)
    assert moment(timestamp(now)) == now


def test_clock_file_shifts_the_wall_clock_of_a_running_process(tmp_path: Path) -> None:
    file = tmp_path / "clock"
    clock = ShiftedClock(file)
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)
    file.write_text("36000\n")
    assert timedelta(hours=9) < clock.now() - datetime.now(UTC) < timedelta(hours=11)
    file.write_text("not a number")
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)


def test_shifted_clock_without_an_emulator_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("SWITCHYARD_CLOCK_FILE", str(tmp_path / "clock"))
    with pytest.raises(InvalidSettings, match="for emulators"):
        ProcessSettings()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    assert isinstance(ProcessSettings().clock(), ShiftedClock)
