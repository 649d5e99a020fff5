"""Free TCP ports on the loopback interface."""

from __future__ import annotations

import random
import socket
from collections.abc import Mapping

LOOPBACK = "127.0.0.1"
# Below the ranges from which Linux (32768 up) and macOS (49152 up) take ports for outgoing connections: a port allotted
# here cannot be taken by a connection while its process is being restarted.
PORT_RANGE = range(20_000, 32_000)
_random = random.SystemRandom()  # two stacks started by equally seeded tests must not try the same ports


class NoFreePort(RuntimeError):
    """No free port was found on the loopback interface. Remedy: stop what occupies the ports 20000 to 31999."""


class PortAllocator:
    """Allots one port per name, preferring the one the name had last time."""

    def __init__(self, remembered: Mapping[str, int] | None = None) -> None:
        self._remembered = dict(remembered or {})
        self._taken: dict[str, int] = {}

    def allocate(self, name: str) -> int:
        """The port of `name`, the same for as long as this object lives. Raises NoFreePort."""
        if name not in self._taken:
            candidates = _random.sample(PORT_RANGE, k=200)
            candidates[:0] = [self._remembered[name]] if name in self._remembered else []
            free = (port for port in candidates if port not in self._taken.values() and _is_free(port))
            if (port := next(free, None)) is None:
                raise NoFreePort(f"no free port for {name} among {len(candidates)} tried on {LOOPBACK}")
            self._taken[name] = port
        return self._taken[name]

    def taken(self) -> dict[str, int]:
        """Every port allotted so far, by name."""
        return dict(self._taken)


def _is_free(port: int) -> bool:
    try:
        socket.create_server((LOOPBACK, port)).close()  # with SO_REUSEADDR: TIME_WAIT counts as free
    except OSError:
        return False
    return True
