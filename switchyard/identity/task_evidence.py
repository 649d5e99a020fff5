"""What the work database says about a task: the case's facts as intake recorded them, and the agent's own lease."""

from __future__ import annotations

from switchyard.identity.permissions import OpenTask
from switchyard.protocol.case_facts import CaseFacts
from switchyard.protocol.fields import ROLE_SCOPE
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)


class WorkDatabaseEvidence:
    """Reads through a function that shows one task at a time."""

    def __init__(self, pool: Pool) -> None:
        self._database = Database(pool, "the work database", _SQL)

    async def open_task(self, agent: str, case_id: str, task_id: str) -> OpenTask | None:
        """The task, if this agent holds its lease and the case is open. Raises `Unavailable`."""
        facts = await self._database.value("open_task", agent, case_id, task_id)
        if facts is None:
            return None
        pinned = CaseFacts.from_json(facts).pinned
        principal = pinned["principal"]
        roles = [each.removeprefix(ROLE_SCOPE) for each in principal.get("scopes", ()) if each.startswith(ROLE_SCOPE)]
        return OpenTask(pinned["tenant"], principal.get("grant_ref"), roles[0] if len(roles) == 1 else None)
