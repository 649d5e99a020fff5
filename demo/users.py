"""What users do in the demo: each logs in and asks through the ingress; one revokes a grant, and consents again."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from services.user_requests import UserSession, log_in
from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.cli.app.access_chain import list_accesses, print_accesses
from switchyard.cli.app.audit_log import open_artefact_reader, open_audit_reader, read_artefact, read_events
from switchyard.cli.app.console import console, print_text
from switchyard.cli.app.target import Target
from switchyard.protocol.fields import Json

TWO_USERS = ("demo-001", "demo-002")
"""The same question of two users."""

WAITING_USER = "chen.li"
WAITING_QUESTION = "How many wells are there in each basin?"
CONSENT_TIMEOUT_S = 60.0
LOGIN_GRANULARITY_S = 1.1
"""Tokens are dated in whole seconds: only a log-in of a later second than the revocation renews a grant."""


@dataclass
class DemoUsers:
    """Users who have logged in, by name."""

    target: Target
    sessions: Mapping[str, UserSession]
    grants: dict[str, str] = field(default_factory=dict)
    """The grant of each user who has asked."""

    async def ask(self, questions: Sequence[Json]) -> list[str]:
        """Ask each question in its user's name; the cases."""

        async def ask(question: Json) -> str:
            asked = await self.sessions[question["user_id"]].ask(
                question["question"],
                key=question["idempotency_key"],
                session=question["session_id"],
                agent=question.get("agent"),
            )
            self.grants[question["user_id"]] = asked["grant"]
            return str(asked["case_id"])

        return list(await asyncio.gather(*map(ask, questions)))

    async def show_two(self, questions: Sequence[Json], cases: Sequence[str]) -> bool:
        """Print the answers that two users got to one question, and who read for them; whether they differ."""
        case_of = {question["idempotency_key"]: case for question, case in zip(questions, cases, strict=True)}
        asked = {question["idempotency_key"]: question for question in questions}
        print_text(f"\nTwo users, one question: {asked[TWO_USERS[0]]['question']}", style="bold")
        answers = []
        async with open_audit_reader(self.target) as log, open_artefact_reader(self.target) as artefacts:
            for key in TWO_USERS:
                events = await read_events(log, case_of[key])
                ending = next(event for event in events if event["type"] == "CaseClosed")
                answer = json.loads(await read_artefact(artefacts, ending, ending["payload"]["answer"]))["text"]
                answers.append(answer)
                print_text(f"{asked[key]['user_id']} gets: {answer}")
                print_accesses(list_accesses(events), asked[key]["user_id"])
        return bool(answers[0] != answers[1])

    async def wait_for_consent(self) -> tuple[str, str]:
        """Revoke a user's grant, ask again, and give consent when the case waits; the case and its outcome.

        Raises `TimeoutError`.
        """
        session, grant = self.sessions[WAITING_USER], self.grants[WAITING_USER]
        await session.revoke(grant)
        print_text(f"\n{WAITING_USER} revokes grant {grant[:8]} and asks: {WAITING_QUESTION}", style="bold")
        asked = await session.ask(WAITING_QUESTION, key="demo-101", session="s-chen-0619", agent="text_to_sql")
        case = str(asked["case_id"])
        async with open_audit_reader(self.target) as log:
            waiting = await _wait_for(log, case, "ConsentRequested")
            print_text(f"case {case[:8]} waits for consent, at {waiting['payload']['url']}")
            await asyncio.sleep(LOGIN_GRANULARITY_S)
            async with log_in(self.target, WAITING_USER) as again:
                await again.consent(waiting["payload"]["grant"])
            closed = await _wait_for(log, case, "CaseClosed")
        outcome = str(closed["payload"]["outcome"])
        print_text(f"{WAITING_USER} logs in again and consents: case {case[:8]} ends as {outcome}.")
        return case, outcome


async def _wait_for(log: AuditReader, case: str, type_: str) -> Json:
    deadline = time.monotonic() + CONSENT_TIMEOUT_S
    while time.monotonic() < deadline:
        for event in await read_events(log, case):
            if event["type"] == type_:
                return event
        await asyncio.sleep(0.2)
    raise TimeoutError(f"case {case} has no {type_} after {CONSENT_TIMEOUT_S:g} s")


def has_ingress(target: Target) -> bool:
    """Whether users can ask there: no ingress runs on docker compose."""
    return "SWITCHYARD_API_URL" in target.environment


@asynccontextmanager
async def open_users(target: Target, names: Sequence[str]) -> AsyncIterator[DemoUsers]:
    """Log these users in. Raises `CommandFailed`."""
    async with AsyncExitStack() as open_sessions:
        sessions = {name: await open_sessions.enter_async_context(log_in(target, name)) for name in names}
        console.print(f"{len(sessions)} users have logged in.")
        yield DemoUsers(target, sessions)
