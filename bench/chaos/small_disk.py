"""PostgreSQL's data on a file system of its own, which can be full: needs root and the right to mount."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

SIZE_MB = 4096
"""A tmpfs takes memory only for what is stored."""


FILL_ATTEMPTS = 50


class MountRefused(OSError):
    """This machine does not let us mount a file system. Remedy: run as root, outside of an unprivileged container."""


class SmallDisk:
    """A tmpfs in place of a folder. The server that uses it must be stopped for `put` and `take_away`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self) -> None:
        """Move the folder's files onto the file system. Raises MountRefused."""
        aside, owner = self._folder.with_name(f"{self._folder.name}.aside"), self._folder.stat()
        self._folder.rename(aside)
        self._folder.mkdir(mode=0o700)
        try:
            _mount("-t", "tmpfs", "-o", f"size={SIZE_MB}m,mode=0700", "none", str(self._folder))
        except MountRefused:
            self._folder.rmdir()
            aside.rename(self._folder)
            raise
        os.chown(self._folder, owner.st_uid, owner.st_gid)
        subprocess.run(["cp", "-a", f"{aside}/.", self._folder], check=True)
        shutil.rmtree(aside)

    def fill(self) -> None:
        """From now on not one block is free."""
        # The server writes meanwhile, and a file system cannot get smaller than its files.
        for _ in range(FILL_ATTEMPTS):
            with contextlib.suppress(MountRefused):
                self._fit()
                return
        self._fit()

    def _fit(self) -> None:
        found = os.statvfs(self._folder)
        self._resize(f"{(found.f_blocks - found.f_bfree) * found.f_frsize}")

    def free(self) -> None:
        """There is room again."""
        self._resize(f"{SIZE_MB}m")

    def take_away(self) -> None:
        """Move the files back into an ordinary folder, so that what is kept can be read later."""
        if not self._folder.is_mount():
            return
        self.free()
        aside = self._folder.with_name(f"{self._folder.name}.aside")
        subprocess.run(["cp", "-a", self._folder, aside], check=True)
        unmount(self._folder)
        self._folder.rmdir()
        aside.rename(self._folder)

    def _resize(self, size: str) -> None:
        _mount("-o", f"remount,size={size}", str(self._folder))


def unmount(folder: Path) -> None:
    """Also what a run that was killed has left behind."""
    if folder.is_mount():
        subprocess.run(["umount", folder], check=True)


def _mount(*arguments: str) -> None:
    try:
        subprocess.run(["mount", *arguments], check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise MountRefused("there is no program mount") from error
    except subprocess.CalledProcessError as error:
        raise MountRefused(f"mount {' '.join(arguments)} failed: {error.stderr.strip()}") from error
