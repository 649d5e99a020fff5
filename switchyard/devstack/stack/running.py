"""How to reach the stack that runs. Every command reads this, so it imports nothing that could start a stack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from switchyard.devstack.errors import StackError
from switchyard.devstack.stack.home import Home


def running_exports(home: Path | None = None) -> dict[str, str]:
    """The variables to export to reach the running stack. Raises StackError when none runs."""
    found: dict[str, str] = running_state(home)["exports"]
    return found


def running_ports(home: Path | None = None) -> dict[str, int]:
    """Every port of the running stack, by the name that the plan gives it. Raises StackError when none runs."""
    found: dict[str, int] = running_state(home)["ports"]
    return found


def running_on(home: Path | None = None) -> dict[str, str]:
    """Which models and data the running stack uses, in words. Raises StackError when none runs."""
    found: dict[str, str] = running_state(home)["in_use"]
    return found


def running_state(home: Path | None) -> dict[str, Any]:
    """The running stack's state file. Raises StackError when none runs."""
    place = Home(home)
    if (state := find_running_state(place)) is None:
        raise StackError(f"no stack is running in {place.folder}")
    return state


def find_running_state(place: Home) -> dict[str, Any] | None:
    """The state file, if the supervisor that runs now has written it: a dead one's is stale."""
    holder, state = place.supervisor(), place.read_state()
    return state if holder is not None and state is not None and state["supervisor"] == holder else None
