"""The approvals inbox: what waits for a person, what exactly would take effect, and what the rules said of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from switchyard.console.app import BadInput
from switchyard.console.case_detail import parse_json
from switchyard.console.sealed import OpenedArtefact, SealedArtefacts
from switchyard.console.tenants import Tenants
from switchyard.protocol.four_eyes import FourEyes
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)
_WORK_SQL = load_queries(__file__, "work.sql")


@dataclass(frozen=True)
class RuleResult:
    """One rule's verdict on this content."""

    rule: str
    verdict: str
    message: str


@dataclass(frozen=True)
class ApprovalDetail:
    """What an approver decides on. `content` has the hash that the approval names."""

    row: Mapping[str, Any]
    content: OpenedArtefact
    results: tuple[RuleResult, ...]
    history: tuple[Mapping[str, Any], ...]
    returnable: bool
    """Whether the playbook goes on after a return, with other content."""
    asked_by_reader: bool
    """Whether who reads it asked for it: then others decide."""
    agreed_by_reader: bool
    """Whether who reads it has agreed: then another person must agree, too."""


@dataclass(frozen=True)
class ApprovalReader:
    """Reads pending approvals from the work database and their circumstances from the log."""

    audit: Database
    work: Database
    sealed: SealedArtefacts
    four_eyes: FourEyes

    async def pending(self, tenants: Tenants) -> list[Mapping[str, Any]]:
        """What waits of these tenants, the most urgent first, and how many persons must agree. Raises `Unavailable`."""
        rows = await self.work.with_queries(_WORK_SQL).rows("approvals")
        return [
            {**row, "needed": self.four_eyes.approvals_needed(row["requested_by"])}
            for row in rows
            if tenants is None or row["tenant"] in tenants
        ]

    async def find(self, approval_id: UUID, tenants: Tenants) -> Mapping[str, Any]:
        """One pending approval. Raises `BadInput` (404) if it does not wait any more."""
        for row in await self.pending(tenants):
            if row["approval_id"] == str(approval_id):
                return row
        raise BadInput("no such approval is pending: it was decided, has expired, or its case is closed", 404)

    async def detail(self, approval_id: UUID, tenants: Tenants, *, opened_by: str) -> ApprovalDetail:
        """Everything about one approval; that its content was opened is recorded. Raises `BadInput` if the content is
        not the one that the approval names."""
        row = await self.find(approval_id, tenants)
        command = parse_json(row["command"])
        audit, case_id = self.audit.with_queries(_SQL), UUID(row["case_id"])
        verdicts = await audit.row("verdicts", case_id, row["content_sha256"])
        subject = command["principal"].get("subject")
        history = await audit.rows("history", UUID(subject), row["tenant"], case_id) if subject else []
        results = _results(parse_json(verdicts["results"]) if verdicts else None)
        # Last: what was opened is recorded, and the rest may not be there to decide by.
        content = await self._content(row, opened_by)
        return ApprovalDetail(
            row,
            content,
            results,
            tuple(history),
            returnable=bool(command["payload"].get("returnable")),
            asked_by_reader=self.four_eyes.is_submitter(opened_by, row["requested_by"]),
            agreed_by_reader=any(self.four_eyes.is_submitter(opened_by, other) for other in row["agreed_by"]),
        )

    async def rendered(self, approval_id: UUID, tenants: Tenants, *, opened_by: str) -> str:
        """The content as a mail program shows it: HTML that is not ours. Raises `BadInput` if it has none."""
        content = await self._content(await self.find(approval_id, tenants), opened_by)
        if content.html is None:
            raise BadInput("this content has no part in HTML", 404)
        return content.html

    async def _content(self, row: Mapping[str, Any], opened_by: str) -> OpenedArtefact:
        command = parse_json(row["command"])
        reason = f"to decide on approval {row['approval_id']}"
        opened, data = await self.sealed.open(
            command, command["payload"]["content"], opened_by=opened_by, reason=reason
        )
        if hashlib.sha256(data).hexdigest() != row["content_sha256"]:
            raise BadInput(
                "the content differs from the approval: its hash is not the one in the approval. "
                "Treat it as an incident: the case manager's table and the command disagree",
                409,
            )
        return opened


def _results(found: Any) -> tuple[RuleResult, ...]:
    listed = found if isinstance(found, list) else []
    return tuple(
        RuleResult(str(each.get("rule", "?")), str(each.get("verdict", "?")), str(each.get("message") or ""))
        for each in listed
        if isinstance(each, dict)
    )
