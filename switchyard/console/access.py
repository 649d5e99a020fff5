"""Who may call what: every endpoint of the console once, with the roles that it is for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

ConsoleRole = Literal["viewer", "operator", "approver", "auditor"]
ROLES: tuple[ConsoleRole, ...] = get_args(ConsoleRole)

_ANY_ROLE = frozenset(ROLES)
_OPERATOR: frozenset[ConsoleRole] = frozenset({"operator"})
_APPROVER: frozenset[ConsoleRole] = frozenset({"approver"})
_AUDITOR: frozenset[ConsoleRole] = frozenset({"auditor"})


@dataclass(frozen=True)
class Endpoint:
    """One route. Without `roles` it needs no log-in. What it shows or does with `every_tenant` belongs to no tenant: it
    is for who may see them all."""

    path: str
    method: Literal["GET", "POST"]
    roles: frozenset[ConsoleRole] | None
    every_tenant: bool = False

    def allows(self, held: Sequence[ConsoleRole]) -> bool:
        """Whether one of these roles suffices."""
        return self.roles is None or not self.roles.isdisjoint(held)


ENDPOINTS: dict[str, Endpoint] = {
    "login": Endpoint("/login", "GET", None),
    "callback": Endpoint("/login/callback", "GET", None),
    "logout": Endpoint("/logout", "POST", _ANY_ROLE),
    "home": Endpoint("/", "GET", _ANY_ROLE),
    "cases": Endpoint("/cases", "GET", _ANY_ROLE),
    "save_search": Endpoint("/cases/saved", "POST", _ANY_ROLE),
    "case": Endpoint("/cases/{case_id}", "GET", _ANY_ROLE),
    "event": Endpoint("/cases/{case_id}/events/{event_id}", "GET", _ANY_ROLE),
    "bundle": Endpoint("/cases/{case_id}/bundle", "GET", _AUDITOR),
    "open_sealed": Endpoint("/cases/{case_id}/sealed", "POST", _AUDITOR),
    "step": Endpoint("/cases/{case_id}/steps/{event_id}", "GET", _ANY_ROLE),
    "open_step": Endpoint("/cases/{case_id}/steps/{event_id}", "POST", _AUDITOR),
    "tail": Endpoint("/tail", "GET", _ANY_ROLE),
    "tail_events": Endpoint("/tail/events", "GET", _ANY_ROLE),
    "failures": Endpoint("/failures", "GET", _ANY_ROLE),
    "refused": Endpoint("/failures/refused/{place}/{key}", "GET", _ANY_ROLE, every_tenant=True),
    "open_refused": Endpoint("/failures/refused/{place}/{key}", "POST", _AUDITOR, every_tenant=True),
    "redrive_plan": Endpoint("/failures/plan", "POST", _OPERATOR),
    "redrive": Endpoint("/failures/redrive", "POST", _OPERATOR),
    "switches": Endpoint("/switches", "GET", _ANY_ROLE),
    "command": Endpoint("/switches/command", "POST", _OPERATOR),
    "cancel_plan": Endpoint("/switches/cancel", "GET", _OPERATOR),
    "cancel": Endpoint("/switches/cancel", "POST", _OPERATOR),
    "resolve": Endpoint("/switches/resolution", "POST", _OPERATOR),
    "approvals": Endpoint("/approvals", "GET", _APPROVER | _AUDITOR),
    "approval": Endpoint("/approvals/{approval_id}", "GET", _APPROVER),
    "approval_rendered": Endpoint("/approvals/{approval_id}/rendered", "GET", _APPROVER),
    "decide": Endpoint("/approvals/{approval_id}", "POST", _APPROVER),
    "dashboards": Endpoint("/dashboards", "GET", _ANY_ROLE),
    "proof": Endpoint("/proof", "GET", _ANY_ROLE),
    "verify": Endpoint("/proof/verify", "POST", _AUDITOR, every_tenant=True),
    "checks": Endpoint("/proof/checks", "GET", _ANY_ROLE, every_tenant=True),
    "start_check": Endpoint("/proof/checks", "POST", _AUDITOR, every_tenant=True),
    "stop_check": Endpoint("/proof/checks/stop", "POST", _AUDITOR, every_tenant=True),
    "signing_key": Endpoint("/signing-key", "GET", _OPERATOR | _APPROVER),
}
"""By name. What is not in this table does not exist: the application is built from it."""
