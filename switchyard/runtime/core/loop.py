"""The event loop that every process runs on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from switchyard.runtime.core.settings import InvalidSettings


def run_event_loop(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a process's composition root to its end: on uvloop where that exists, which halves the CPU of our sockets.
    With an environment that does not fit its settings, it ends with status 1 and one line on standard error."""
    try:
        if sys.platform == "win32":
            asyncio.run(main())
        else:
            import uvloop

            uvloop.run(main())
    except InvalidSettings as error:
        sys.exit(f"invalid settings: {error}")
