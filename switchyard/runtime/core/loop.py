"""The event loop that every process runs on."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from switchyard.runtime.core.collector import pause_collector


def run_event_loop(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a process's composition root to its end: on uvloop where that exists, which halves the CPU of our sockets.
    The root imports its own parts. With an environment that does not fit its settings, it ends with status 1 and one
    line on standard error."""
    pause_collector()
    from switchyard.runtime.core.settings import InvalidSettings

    try:
        if sys.platform == "win32":
            asyncio.run(main())
        else:
            import uvloop

            uvloop.run(main())
    except InvalidSettings as error:
        sys.exit(f"invalid settings: {error}")
    finally:
        gc.enable()
