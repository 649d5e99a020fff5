"""A run in which everything holds, written by hand into both databases: a question, and emails that were sent, denied,
cancelled and refused."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
NAMES = ("question", "sent", "granted", "denied", "cancelled")
WANTS = {"granted": "grant", "denied": "deny", "cancelled": "cancel"}
CASES = {name: str(uuid.uuid5(uuid.NAMESPACE_DNS, name)) for name in NAMES}
CONTENT = {name: hashlib.sha256(name.encode()).hexdigest() for name in NAMES}
APPROVALS = {name: str(uuid.uuid5(uuid.NAMESPACE_DNS, f"approval {name}")) for name in WANTS}
ENDINGS = dict(zip(NAMES, ("answered", "sent", "sent", "denied", "cancelled"), strict=True))
WORKERS = {name: "drafter" if name == "question" else "email_sender" for name in NAMES}

# type, from, to
STEPS = (
    ("CaseOpened", "case_manager", "router"),
    ("Work", "router", "{worker}"),
    ("Done", "{worker}", "router"),
    ("CloseCase", "router", "case_manager"),
    ("CaseClosed", "case_manager", "external"),
)


@dataclass
class HealthyRun:
    """The rows, and what the checker gets beside the databases."""

    work: asyncpg.Connection[Any]
    audit: asyncpg.Connection[Any]
    outbox: dict[str, Any] = field(default_factory=dict)
    history: dict[str, Any] = field(default_factory=dict)
    indexes: int = 0

    async def write(self) -> None:
        """Everything, over the owner's connections; triggers are off, because what is planted later breaks them."""
        for connection in (self.work, self.audit):
            await connection.execute("set local session_replication_role = replica")
        for row in await self.audit.fetch("select oid::regclass::text as name from pg_class where relhastriggers"):
            if row["name"].startswith("audit."):
                await self.audit.execute(f"alter table {row['name']} disable trigger all")
        for name in NAMES:
            await self._write_case(name)
        self.outbox |= {"emails": [self.email(name) for name in ("sent", "granted")]}
        submitted = [{"case_id": case, "wants": WANTS.get(name)} for name, case in CASES.items()]
        self.history |= {"submitted": submitted, "stops": self._stops()}

    def email(self, name: str, number: int = 0) -> dict[str, Any]:
        """As the mail provider lists it."""
        return {
            "message_id": f"{name}-{number}",
            "tags": {"case_id": CASES[name]},
            "sha256": CONTENT[name],
            "recipients": [f"{name}@gmail.com"],
        }

    def _stops(self) -> list[dict[str, Any]]:
        both = ["sent-0", "granted-0"]
        return [
            {"kind": "case", "key": CASES["cancelled"], "before": []},
            {"kind": "playbook", "key": "outbound_email", "before": ["sent-0"], "after": ["sent-0"]},
            {"kind": "address", "key": "sent@gmail.com", "before": both},
        ]

    async def _write_case(self, name: str) -> None:
        parent: str | None = None
        worker = WORKERS[name]
        for seq, (transition, node_from, node_to) in enumerate(STEPS):
            done = "EmailSent" if ENDINGS[name] == "sent" else "Done"
            parent = await self.event(
                name,
                node_from=node_from.format(worker=worker),
                node_to=node_to.format(worker=worker),
                seq=seq,
                transition=done if transition == "Done" else transition,
                parents=[parent] if parent else [],
            )
        await self._write_facts(name)

    async def event(
        self,
        name: str,
        *,
        transition: str,
        node_from: str,
        node_to: str,
        seq: int,
        parents: list[str],
        ordinal: int = 0,
    ) -> str:
        """An event in the log and, unless the router made it, in its producer's outbox; its digest."""
        key = f"{name} {transition} {seq} {ordinal} {parents}"
        digest, event_id = hashlib.sha256(key.encode()).hexdigest(), uuid.uuid5(uuid.NAMESPACE_URL, key)
        await self.audit.execute(
            """
            insert into audit.transition (opened_on, event_id, case_id, tenant, session_id, principal_sub, node_from,
              node_to, transition, type_version, seq, ordinal, siblings, parents, transcript_hash, playbook_version,
              case_deadline, terminal, outcome, catalogued, event_ts, source, mac, mac_key, body)
            values ($1, $2, $3, 't', 's', 'p', $4, $5, $6, 1, $7, $8, 1, $9, $10, 'p/1', $11, $12, $13, true, $11,
              'switchyard.x', '\\x00', $2, '{}')
            """,
            *(NOW.date(), event_id, uuid.UUID(CASES[name]), node_from, node_to, transition, seq, ordinal, parents),
            *(digest, NOW, transition == "CaseClosed", ENDINGS[name] if transition == "CaseClosed" else None),
        )
        self.indexes += 1
        await self.audit.execute(
            "insert into audit.log_entry (log_index, opened_on, event_id, digest, recorded_at, body_sha256, mac,"
            " mac_key) values ($1, $2, $3, $4, $5, '\\x00', '\\x00', $3)",
            *(self.indexes, NOW.date(), event_id, digest, NOW),
        )
        if node_from != "router":
            await self.work.execute(
                f"insert into {node_from}.outbox (event_id, case_id, digest, opened_on, type, node_to, event)"
                " values ($1, $2, $3, $4, $5, $6, '{}')",
                *(event_id, uuid.UUID(CASES[name]), digest, NOW.date(), transition, node_to),
            )
        if transition == "CaseOpened":
            await self.work.execute(
                "insert into case_manager.submission (case_id, payload_mac, playbook, facts, opened_id)"
                " values ($1, '\\x00', 'p', '{}', $2)",
                *(uuid.UUID(CASES[name]), event_id),
            )
        if transition == "CaseClosed":
            await self.work.execute(
                "insert into case_manager.case_ending (case_id, outcome, event_id) values ($1, $2, $3)",
                *(uuid.UUID(CASES[name]), ENDINGS[name], event_id),
            )
        return digest

    async def _write_facts(self, name: str) -> None:
        case = uuid.UUID(CASES[name])
        if name in WANTS:
            verdict = {"granted": "granted", "denied": "denied", "cancelled": "void"}[name]
            await self.work.execute(
                "insert into case_manager.approval (approval_id, case_id, tenant, playbook, content_sha256, pack,"
                " reason, requested_by, state, asked_at, decide_by)"
                " values ($1, $2, 't', 'p', $3, 'p', 'r', 'c', $4, $5, $5)",
                *(uuid.UUID(APPROVALS[name]), case, CONTENT[name], verdict, NOW),
            )
            if verdict != "void":
                await self.work.execute(
                    "insert into case_manager.approval_decision (approval_id, verdict, content_sha256, approver, why,"
                    " signed_at, signature, result) values ($1, $2, $3, 'oncall', '', $4, '', $2)",
                    *(uuid.UUID(APPROVALS[name]), verdict, CONTENT[name], NOW),
                )
        if name == "granted":
            await self.work.execute(
                "insert into case_manager.approval_grant (approval_id, approver, why, signed_at, signature, granted_at)"
                " values ($1, 'oncall', '', $2, '', $2)",
                *(uuid.UUID(APPROVALS[name]), NOW),
            )
        if name not in {"sent", "granted"}:
            return
        approval = APPROVALS.get(name)
        await self.work.execute(
            "insert into email_sender.sending (tenant, user_id, session_id, case_id, content_sha256, command_id, pack,"
            " approval_id, state, provider_message_id, intended_at)"
            " values ('t', 'u', 's', $1, $2, $1, 'p', $3, 'sent', $4, $5)",
            *(case, CONTENT[name], approval and uuid.UUID(approval), f"{name}-0", NOW),
        )
        await self.work.execute(
            "insert into compliance.verdict (task_id, case_id, tenant, user_id, session_id, stage, outcome, pack,"
            " purpose, account_sha256, content_sha256, rules, payload, places, recorded_at, retain_until)"
            " values ($1, $1, 't', 'u', 's', 'email', 'EmailPassed', 'p', 'p', '', $2, '{}', '{}', '{}', $3, $4)",
            *(case, CONTENT[name], NOW, NOW.date()),
        )
