"""Memory's tables. Every method raises `Unavailable` when the database cannot be reached."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from switchyard.protocol.fields import Artefact, StorageRef
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.database.session_scope import SessionScope

_SQL = load_queries(__file__)


@dataclass(frozen=True)
class SealedText:
    """An artefact of an earlier case, and where its bytes are."""

    artefact: Artefact
    place: StorageRef

    def to_json(self) -> str:
        """As the table has it."""
        fields = {"artefact": self.artefact, "place": self.place}
        return json.dumps({name: each.model_dump(mode="json", exclude_none=True) for name, each in fields.items()})

    @classmethod
    def from_json(cls, text: str) -> SealedText:
        """Read what `to_json` wrote."""
        fields = json.loads(text)
        return cls(
            Artefact.model_validate_json(json.dumps(fields["artefact"])),
            StorageRef.model_validate_json(json.dumps(fields["place"])),
        )


@dataclass(frozen=True)
class KeptTurn:
    """An answered turn of a session."""

    case_id: str
    number: int
    question: SealedText
    answer: SealedText
    digest: str
    kept_at: datetime


class MemoryStore:
    """What is remembered, always in the scope of a task: its tenant, its user, its session."""

    def __init__(self, pool: Pool) -> None:
        self._database = Database(pool, "the work database", _SQL)

    async def keep_turn(self, scope: SessionScope, turn: KeptTurn, *, expires_after: timedelta, most: int) -> None:
        """Keep a turn, once. The oldest make room, so that `most` remain in the session."""
        async with self._database.transaction(scope) as database:
            await database.execute(
                "keep_turn", turn.case_id, turn.number, turn.question.to_json(), turn.answer.to_json(), turn.digest,
                turn.kept_at, turn.kept_at + expires_after,
            )  # fmt: skip
            await database.execute("make_room", most)

    async def turns_before(self, scope: SessionScope, number: int, now: datetime) -> list[KeptTurn]:
        """The turns of the session before this one that have not expired, newest first."""
        async with self._database.transaction(scope) as database:
            rows = await database.rows("turns_before", number, now)
        return [
            KeptTurn(
                row["case_id"],
                row["number"],
                SealedText.from_json(row["question"]),
                SealedText.from_json(row["answer"]),
                row["digest"],
                row["kept_at"],
            )
            for row in rows
        ]
