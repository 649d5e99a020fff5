"""Memory in the demo: a follow-up within a session; across sessions kept, used with its source, replaced, expired, and
forgotten with a receipt."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from contracts.documents.memory import MemoryDocument
from services.memory.commands import submit_forgetting
from switchyard.cli.app.audit_log import open_artefact_reader, read_artefact
from switchyard.cli.app.console import console, print_text
from switchyard.cli.app.submissions import publish_submissions
from switchyard.cli.app.target import Target

MEMORY_TENANT, MEMORY_USER = "remembering-northfork", "gus.larsen"
"""A tenant that has consented, unlike the demo's others."""

MEMORY_QUESTION = "How many wells are there in each basin?"
FOLLOW_UP = "and by state?"
MEMORY_SOURCE = "upstream.demo"
MEMORY_TIMEOUT_S = 60.0
TALK, OTHER_TALK = "s-gus-talk", "s-gus-other"
_DRAFTED = """
select subject::text, body from audit.transition where case_id = $1::text::uuid and transition = 'AnswerDrafted'
"""
_CLOSED = """
select outcome from audit.transition where case_id = $1::text::uuid and transition = 'CaseClosed'
"""
_RECALLED = "select body from audit.transition where case_id = $1::text::uuid and transition = 'MemoryRecalled'"
_RECEIPTS = """
select d.payload ->> 'reason' as reason, d.payload -> 'items' as items, d.payload ->> 'operator' as operator
from audit.transition_detail d join audit.transition t using (opened_on, case_id, event_id)
where t.transition = 'MemoryForgotten' and t.tenant = $1
order by t.event_ts, t.event_id
"""


@dataclass
class DemoMemory:
    """One user, who talks in several sessions."""

    target: Target
    log: asyncpg.Connection[Any]
    cases: list[str] = field(default_factory=list)
    subject: str = ""
    elsewhere: str = ""
    """How the follow-up ended in another session."""

    async def follow_up(self) -> None:
        """A question that only the turn before it explains, and the same words without that turn."""
        console.print(f"\n[bold]A follow-up[/bold]: {MEMORY_USER} goes on in one session.")
        await self._ask(MEMORY_QUESTION, "answered", session=TALK)
        await self._ask(FOLLOW_UP, "answered by what was said before", session=TALK)
        case = await self._submit(FOLLOW_UP, OTHER_TALK)
        closed = await self._until(lambda: self.log.fetchrow(_CLOSED, case))
        print_text(f"  {FOLLOW_UP}")
        print_text(f"    the same words in another session: {closed['outcome']}", style="cyan")
        self.elsewhere = closed["outcome"]

    async def evening(self) -> None:
        """A follow-up. A preference is kept, used in another session with its source, contradicted and replaced; a note
        is kept."""
        await self.follow_up()
        console.print(f"\n[bold]Memory[/bold]: {MEMORY_USER}, in sessions of their own.")
        await self._ask(f"I prefer metric units. {MEMORY_QUESTION}", "kept")
        await self._ask(MEMORY_QUESTION, "used")
        await self._ask(f"I now prefer field units. {MEMORY_QUESTION}", "replaced")
        await self._ask(f"Remember that the pump of pad 4 is rented. {MEMORY_QUESTION}", "kept")

    async def morning(self) -> dict[str, Any]:
        """The note has expired; what is left is forgotten on request."""
        console.print(f"\n[bold]Memory[/bold], hours later: {MEMORY_USER} again.")
        await self._show_receipt("expired")
        await self._ask(MEMORY_QUESTION, "used")
        result = await submit_forgetting(self.target, self.subject, operator="oncall", reason="the user asked")
        print_text(f"`switchyard memory forget`, signed by oncall: {result}")
        await self._show_receipt("operator")
        used = await self._ask(MEMORY_QUESTION, "nothing remembered")
        reasons = {row["reason"] for row in await self.log.fetch(_RECEIPTS, MEMORY_TENANT)}
        return {
            "receipts": sorted(reasons),
            "used_after_forgetting": used,
            "follow_up_elsewhere": self.elsewhere,
        }

    async def _submit(self, question: str, session: str | None = None) -> str:
        """One turn, without a session in one of its own; its case."""
        number = len(self.cases) + 1
        submission = {
            "tenant": MEMORY_TENANT, "idempotency_key": f"memory-{number}", "session_id": session or f"s-gus-{number}",
            "user_id": MEMORY_USER, "question": question, "role": "FIELD_ALL",
        }  # fmt: skip
        (case,) = await publish_submissions(self.target, [submission], source=MEMORY_SOURCE)
        self.cases.append(case)
        return case

    async def _ask(self, question: str, what: str, *, session: str | None = None) -> int:
        """One turn and its answer; how many memories it was given."""
        case = await self._submit(question, session)
        row = await self._until(lambda: self.log.fetchrow(_DRAFTED, case))
        self.subject, drafted = row["subject"], json.loads(row["body"])["detail"]
        async with open_artefact_reader(self.target) as artefacts:
            answer = json.loads(await read_artefact(artefacts, drafted, drafted["payload"]["answer"]))["text"]
            row = await self._until(lambda: self.log.fetchrow(_RECALLED, case))
            recalled = json.loads(row["body"])["detail"]
            memory, document = recalled["payload"].get("memory"), MemoryDocument()
            if memory is not None:
                document = MemoryDocument.model_validate_json(await read_artefact(artefacts, recalled, memory))
        print_text(f"  {question}")
        print_text(f"    {what}: {answer}", style="cyan")
        for fact in document.user:
            source = f"case {fact.case[:8]}, {fact.at[:16].replace('T', ' ')} UTC"
            print_text(f"    It was given {fact.about}: {fact.value} (source: {source}).", style="cyan")
        return len(recalled["payload"].get("used", ()))

    async def _show_receipt(self, reason: str) -> None:
        async def find_receipt() -> Any:
            rows = await self.log.fetch(_RECEIPTS, MEMORY_TENANT)
            return next((row for row in rows if row["reason"] == reason), None)

        row = await self._until(find_receipt)
        kinds = ", ".join(item["kind"] for item in json.loads(row["items"]))
        by = f", asked by {row['operator']}" if row["operator"] else ""
        print_text(f"  receipt in the log: {kinds} forgotten ({reason}{by})")

    async def _until(self, find: Callable[[], Awaitable[Any]]) -> Any:
        deadline = time.monotonic() + MEMORY_TIMEOUT_S
        while (row := await find()) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing in the log after {MEMORY_TIMEOUT_S:.0f} s: see the log of memory")
            await asyncio.sleep(0.1)
        return row
