"""The pages: each module reads, decides what to show, and renders. What each is for, and who may see it, is in
`access`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from switchyard.console.app import Handler, OpenHandler
from switchyard.console.pages import Pages
from switchyard.console.tail import Tail
from switchyard.console.tenants import TenantGuard
from switchyard.console.views.sessions import SessionViews
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.database.connections import Database


class ViewModule(Protocol):
    """The handlers of one page and of what is sent from it."""

    def handlers(self) -> dict[str, Handler]:
        """By the names of `ENDPOINTS`."""


@dataclass(frozen=True)
class Views:
    """Every page of a console, and what they are made over."""

    pages: Pages
    clock: Clock
    audit: Database
    work: Database
    tail: Tail
    sessions: SessionViews
    guard: TenantGuard
    modules: Sequence[ViewModule]

    def handlers(self) -> dict[str, Handler]:
        """By the names of `ENDPOINTS`."""
        found = self.sessions.handlers()
        for module in self.modules:
            found |= module.handlers()
        return found

    def open_handlers(self) -> dict[str, OpenHandler]:
        """Those that need no log-in."""
        return {"login": self.sessions.log_in, "callback": self.sessions.finish_login}
