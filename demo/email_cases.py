"""The demo's email cases: published, decided by people, let wait for the morning, and compared with the outbox."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import default
from typing import Any

import aiohttp
import asyncpg
from rich.markup import escape

from contracts.documents.opt_out import OPT_OUT_PATH
from demo.clock import NIGHT_LENGTH, advance_clock
from demo.emails import DEMO_EMAILS, DemoEmail, build_demo_submissions
from demo.figures import QUERIES, count_outcomes, demo_table
from demo.stacks import DemoStack
from switchyard.cli.app.audit_log import open_artefact_reader, read_artefact
from switchyard.cli.app.console import console
from switchyard.cli.app.operator_commands import submit_command
from switchyard.cli.app.submissions import publish_submissions
from switchyard.cli.commands.approval import submit_decision
from switchyard.devstack.stack.local_stack import LOCAL_OPERATOR
from switchyard.protocol.statements import ApprovalAnswer

COLLECTIONS_SOURCE = "upstream.collections"
_LINK = re.compile(rf"{re.escape(OPT_OUT_PATH)}/([A-Za-z0-9_.-]+)")


@dataclass
class EmailCases:
    """One run's emails."""

    stack: DemoStack
    work: asyncpg.Connection[Any]
    log: asyncpg.Connection[Any]
    cases: dict[str, DemoEmail]
    """By case id."""

    async def run_follow_ups(self, timeout_s: float) -> None:
        """Do what people do while the cases run: decide, opt out, cancel; and set the clock to the next morning."""
        todo = {case: list(email.then) for case, email in self.cases.items()}
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            closed = {str(row["case_id"]) for row in await self.work.fetch(QUERIES["closed_emails"], list(self.cases))}
            if len(closed) == len(self.cases):
                return
            for row in await self.work.fetch(QUERIES["asked_emails"], list(self.cases)):
                case = str(row["case_id"])
                while todo[case] and todo[case][0] != "morning":
                    await self._do(todo[case].pop(0), case, row)
            left = [case for case in self.cases if case not in closed]
            resting = await self.work.fetchval(QUERIES["resting_emails"], left)
            if left and resting == len(left) and all(todo[case] == ["morning"] for case in left):
                advance_clock(self.stack.clock, NIGHT_LENGTH)
                for case in left:
                    todo[case].clear()
                hours = round(NIGHT_LENGTH.total_seconds() / 3600)
                console.print(
                    f"{len(left)} emails wait for a permitted hour: the clock is set forward by {hours} hours."
                )
            await asyncio.sleep(0.2)

    async def _do(self, what: str, case: str, row: Any) -> None:
        match what:
            case "grant" | "deny":
                verdict: ApprovalAnswer = "granted" if what == "grant" else "denied"
                reason = "Reads well." if what == "grant" else "Too early for an offer."
                await submit_decision(
                    self.stack.target, str(row["approval_id"]), verdict, approver=LOCAL_OPERATOR, reason=reason
                )
            case "cancel":
                await submit_command(
                    self.stack.target, "cancel", case, operator=LOCAL_OPERATOR, reason="Submitted by mistake."
                )
            case "opt_out":
                await self._opt_out(json.loads(row["command"]))

    async def _opt_out(self, command: Mapping[str, Any]) -> None:
        """Click the link as a mail client does, and wait until the address is suppressed."""
        async with open_artefact_reader(self.stack.target) as artefacts:
            message = message_from_bytes(
                await read_artefact(artefacts, dict(command), command["payload"]["content"]), policy=default
            )
        found = _LINK.search(message["List-Unsubscribe"])
        if found is None:
            raise LookupError("the email has no opt-out link")
        address = f"{self.stack.opt_out_address}{OPT_OUT_PATH}/{found[1]}"
        async with (
            aiohttp.ClientSession() as session,
            session.post(address, data={"List-Unsubscribe": "One-Click"}) as answer,
        ):
            answer.raise_for_status()
        for _ in range(150):
            if await self.work.fetchval(QUERIES["stopped_addresses"]):
                return
            await asyncio.sleep(0.1)
        raise TimeoutError("the case manager has not suppressed the address")

    async def figures(self) -> dict[str, Any]:
        """How every case ended, which must have ended otherwise, and what the mail provider got."""
        rows = await self.log.fetch(QUERIES["email_cases"], list(self.cases))
        async with aiohttp.ClientSession() as session, session.get(f"{self.stack.outbox_address}/outbox") as answer:
            outbox = (await answer.json())["emails"]
        taken = Counter(email["sha256"] for email in outbox)
        same = all(_sha256(email["raw"]) == email["sha256"] for email in outbox)
        sent = {row["case_id"]: row["sent_sha256"] for row in rows if row["outcome"] == "sent"}
        passed = {row["case_id"]: set(row["passed_sha256"] or ()) for row in rows}
        approved = {row["case_id"]: set(row["approved_sha256"] or ()) for row in rows if row["approved_sha256"]}
        as_approved = all(
            content in passed[case] and (case not in approved or content in approved[case])
            for case, content in sent.items()
        )
        expected = [(self.cases[row["case_id"]], row) for row in rows]
        unexpected = [email.key for email, row in expected if not _as_expected(email, row)]
        return {
            "emails": len(rows),
            "closed": count_outcomes(row["outcome"] or "open" for row in rows),
            "rules": sorted({rule for row in rows for rule in (*_rules(row, "rules"), *_rules(row, "deferred"))}),
            "outbox": len(outbox),
            "once_and_identical": same and as_approved and taken == Counter(sent.values()),
            "unexpected": unexpected,
            "rows": [dict(row) for row in rows],
        }

    def show(self, found: Mapping[str, Any]) -> None:
        """A line for each case, and the sum."""
        table = demo_table("email", "what it shows", "drafts", "outcome", "why")
        for row in found["rows"]:
            email = self.cases[row["case_id"]]
            why = [f"approved by {row['approver']}" if row["approver"] and row["outcome"] == "sent" else ""]
            why += [*(f"sent later: {rule}" for rule in _rules(row, "deferred")), row["message"] or ""]
            mark = "" if email.key not in found["unexpected"] else "[red]unexpected[/red] "
            text = mark + escape("; ".join(filter(None, why)))
            table.add_row(row["case_id"][:8], email.shows, str(row["drafts"]), row["outcome"] or "open", text)
        console.print(table)
        closed = ", ".join(f"{count} {outcome}" for outcome, count in found["closed"].items())
        once = "each once, byte for byte as passed and approved"
        once = once if found["once_and_identical"] else "[red]not what was approved[/red]"
        console.print(
            f"{found['emails']} emails: {closed}.\nIn the provider's outbox: {found['outbox']} emails, {once}."
        )


async def publish_emails(stack: DemoStack, work: asyncpg.Connection[Any], log: asyncpg.Connection[Any]) -> EmailCases:
    """Publish the submissions as the creditor's system would."""
    details = build_demo_submissions(stack.target.clock.now())
    cases = await publish_submissions(stack.target, details, source=COLLECTIONS_SOURCE)
    return EmailCases(stack, work, log, dict(zip(cases, DEMO_EMAILS, strict=True)))


def _as_expected(email: DemoEmail, row: Any) -> bool:
    rules = {*_rules(row, "rules"), *_rules(row, "deferred")}
    return row["outcome"] == email.outcome and set(email.rules) <= rules


def _rules(row: Mapping[str, Any], column: str) -> list[str]:
    return json.loads(row[column] or "null") or []


def _sha256(raw: str) -> str:
    return hashlib.sha256(base64.b64decode(raw)).hexdigest()
