"""What the draft rules share: the draft itself, the required texts that it lacks, the words that it uses."""

from __future__ import annotations

from services.specialists.compliance.email_text.characters import normalize_text
from services.specialists.compliance.email_text.lexicon import find_folded_terms
from services.specialists.compliance.email_text.message import ParsedEmail
from services.specialists.compliance.rules.rule import DraftProblem, RuleInput


def require_draft(situation: RuleInput) -> ParsedEmail:
    """The draft. Raises `ValueError` if a rule about drafts is asked before there is one."""
    if situation.message is None:
        raise ValueError("this rule is about a draft, and there is none at this stage")
    return situation.message


def missing_required_texts(situation: RuleInput, rule: str) -> list[DraftProblem]:
    """A problem for each required text of a rule that a part of the draft does not carry word for word."""
    message = require_draft(situation)
    parts = {"text part": normalize_text(message.text), "HTML part": normalize_text(message.html)}
    return [
        DraftProblem(f"the {where} lacks the {text.name}", f"carry this text word for word in both parts: {text.text}")
        for text in situation.required_texts
        if text.rule == rule
        for where, part in parts.items()
        if normalize_text(text.text) not in part
    ]


def find_listed_terms(situation: RuleInput, *lists: str) -> list[tuple[str, str, str]]:
    """(term, list, place) for each term of the pack's word lists that the draft uses in its own words."""
    return [
        (term, name, where)
        for where, part in situation.own_words.items()
        for name in lists
        for term in find_folded_terms(part, situation.pack.lexicon[name])
    ]
