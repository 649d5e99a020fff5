"""The event loop that every process runs on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any


def run_event_loop(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a process's composition root to its end: on uvloop where that exists, which halves the CPU of our sockets."""
    if sys.platform == "win32":
        asyncio.run(main())
    else:
        import uvloop

        uvloop.run(main())
