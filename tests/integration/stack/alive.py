"""Whether a process is alive."""

from __future__ import annotations

import psutil


def is_alive(process: psutil.Process) -> bool:
    """A zombie has ended."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
