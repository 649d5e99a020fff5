"""A past case as candidates for the labelled sets. A candidate has no label: what the system did is no gold."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from contracts.documents.accounts import AccountFacts
from contracts.documents.disclosures import required_disclosures
from evals.personal import Replacements, replace_personal, replacements_for_user
from services.drafter.mime import extract_words
from switchyard.protocol.catalogue import ROUTER
from switchyard.protocol.fields import ROLE_SCOPE, Json

ReadArtefact = Callable[[Json, Mapping[str, Any]], Awaitable[bytes]]
"""The plain bytes of an artefact of an event."""

SUITES = ("triage", "text_to_sql", "well_data", "field_routing", "compliance")
REMINDER = (
    "# Not labelled: read it, replace names that no field knew, write the label, take `candidate` out, and move\n"
    "# the case into evals/datasets/{suite}.yaml.\n"
)


@dataclass(frozen=True)
class EvalCandidate:
    """One case of a suite, without its label."""

    suite: str
    case_id: str
    outcome: str
    did: str
    """What the system did, for the person who labels."""
    case: dict[str, Any]
    account: dict[str, Any] | None = None

    @property
    def file_name(self) -> str:
        """Where it is written."""
        return f"{self.suite}-{self.case['id']}.yaml"

    def to_yaml(self) -> str:
        """In the suite's own format, marked as a candidate."""
        candidate = {"case": self.case_id, "ended_as": self.outcome, "the_system_did": self.did, "reviewer": None}
        account = {} if self.account is None else {"account": self.account}
        content = {"candidate": candidate, **account, "cases": [self.case]}
        text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
        return REMINDER.format(suite=self.suite) + text


async def build_candidates(
    events: Sequence[Json], outcome: str, read: ReadArtefact, user: str | None
) -> list[EvalCandidate]:
    """The candidates of a whole case. `user` is the asker's own name, as far as it is known. Raises what `read` raises
    for what was erased."""
    questions = [event for event in events if event["node_from"] == ROUTER and event["type"] == "ChooseAgent"]
    tasks = [event for event in events if event["node_from"] == ROUTER and event["type"] == "AnswerQuestion"]
    reviews = [event for event in events if event["node_from"] == ROUTER and event["type"] == "ReviewEmail"]
    replaced = replacements_for_user(user or events[0]["principal"]["sub"])
    found = [await _question(event, events, outcome, read, replaced) for event in (*questions, *tasks)]
    found += [await _draft(number, event, events, outcome, read) for number, event in enumerate(reviews, start=1)]
    return [each for each in found if each.suite in SUITES]


async def _question(
    command: Json, events: Sequence[Json], outcome: str, read: ReadArtefact, replaced: Replacements
) -> EvalCandidate:
    asked = (await read(command, command["payload"]["question"])).decode()
    suite = command["node_to"]
    case: dict[str, Any] = {"id": f"life-{command['case_id'][:8]}", "question": replaced.apply(asked)}
    if suite != "triage":
        roles = [each.removeprefix(ROLE_SCOPE) for each in command["principal"].get("scopes", ())]
        case |= {"role": roles[0]} if roles else {}
    return EvalCandidate(suite, command["case_id"], outcome, _answer(command, events), case)


async def _draft(number: int, command: Json, events: Sequence[Json], outcome: str, read: ReadArtefact) -> EvalCandidate:
    payload = command["payload"]
    facts = AccountFacts.model_validate_json(await read(command, payload["account"]))
    message = await read(command, payload["email"])
    # The day counts only in texts after the model's own words.
    first = required_disclosures(facts, payload["purpose"], command["occurred_at"][:10])[0].text
    subject, _, words = extract_words(message, until=first).partition("\n\n")
    account, replaced = replace_personal(facts)
    case = {
        "id": f"life-{command['case_id'][:8]}-{number}",
        "purpose": payload["purpose"],
        "subject": replaced.apply(subject),
        "paragraphs": [replaced.apply(part) for part in words.split("\n\n") if part.strip()],
    }
    shown = json.loads(account.model_dump_json(exclude_none=True))
    return EvalCandidate("compliance", command["case_id"], outcome, _answer(command, events), case, shown)


def _answer(command: Json, events: Sequence[Json]) -> str:
    """What followed from a command, without payload text."""
    for event in events:
        if event["parents"][:1] == [command["digest"]] and event["node_from"] == command["node_to"]:
            payload = event["payload"]
            detail = payload.get("agent") or ", ".join(payload.get("rules") or ()) or payload.get("code")
            return f"{event['type']}{f' ({detail})' if detail else ''}"
    return "nothing"
