"""The scope of one handler: the rows of the tenant, the user and the session that its task is for, and no others.

A transaction that is given a scope sets it for its own length; row-level security compares every row with it
(`row_security.sql`; docs/operate/security.md lists the tables without). It stops mistakes and injected reads, not a
thief of the role's login, who can set any scope.
"""

from __future__ import annotations

from dataclasses import dataclass

from switchyard.protocol.envelope import Envelope

SET_SCOPE = """
select set_config('switchyard.tenant', $1, true), set_config('switchyard.user', $2, true),
  set_config('switchyard.session', $3, true)
"""
"""For the transaction it is in."""


@dataclass(frozen=True, slots=True)
class SessionScope:
    """Whose rows a transaction sees. `user` is the person whom the case is about, or the source that asks for none."""

    tenant: str
    user: str
    session: str

    @classmethod
    def of(cls, envelope: Envelope) -> SessionScope:
        """The scope of a command: the claim has compared all three with what intake recorded of the case."""
        principal = envelope.principal
        return cls(envelope.tenant, principal.subject or principal.sub, envelope.session_id)
