"""Variables of the environment that no setting reads: a misspelt one is an error, another one a warning."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import SequenceMatcher

PREFIX = "SWITCHYARD_"
SETTINGS_PAGE = "docs/operate/settings.md"

_ALIKE = 0.85
"""One missing letter, or two swapped ones, of a name of eight. AUDIT_DB_URL and WORK_DB_URL have 0.61."""


def unread_variables(known: Collection[str], environment: Mapping[str, str], prefix: str = PREFIX) -> list[str]:
    """The variables in `environment` that begin with `prefix` and are not `known`."""
    return sorted(name for name in environment if name.upper().startswith(prefix) and name.upper() not in known)


def misspelt_variables(known: Collection[str], environment: Mapping[str, str], prefix: str = PREFIX) -> dict[str, str]:
    """Unread variables, each with the known one that it resembles, provided that the known one is not set."""
    unset = [name for name in known if name.startswith(prefix) and not environment.get(name)]
    found = {}
    for name in unread_variables(known, environment, prefix):
        likeness = {other: _likeness(name.upper(), other, len(prefix)) for other in unset}
        best = max(likeness, key=likeness.__getitem__, default=None)
        if best is not None and likeness[best] >= _ALIKE:
            found[name] = best
    return found


def _likeness(name: str, other: str, start: int) -> float:
    return SequenceMatcher(None, name[start:], other[start:], autojunk=False).ratio()
