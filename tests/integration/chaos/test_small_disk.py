"""The disk that `make chaos` fills, or the refusal where nothing may be mounted."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.chaos.small_disk import MountRefused, SmallDisk

pytestmark = pytest.mark.integration


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "postgres"
    data.mkdir(mode=0o700)
    (data / "file").write_text("kept")
    return data


def _put(disk: SmallDisk) -> bool:
    try:
        disk.put()
    except MountRefused:
        return False
    return True


def test_small_disk_is_full_then_free_and_files_come_back(folder: Path) -> None:
    disk, written = SmallDisk(folder), ["file"]
    # Where nothing may be mounted, what is there stays as it is.
    if _put(disk):
        try:
            disk.fill()
            with pytest.raises(OSError, match="No space left"):
                (folder / "more").write_bytes(b"x" * 1_000_000)
            disk.free()
            (folder / "more").write_bytes(b"x" * 1_000_000)
        finally:
            disk.take_away()
        written.append("more")
    assert not folder.is_mount()
    assert sorted(path.name for path in folder.iterdir()) == written
    assert (folder / "file").read_text() == "kept"
    assert [path.name for path in folder.parent.iterdir()] == ["postgres"]
