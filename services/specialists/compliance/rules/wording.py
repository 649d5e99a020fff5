"""What the draft rules share: the draft itself, the required texts that it lacks, the words that it uses."""

from __future__ import annotations

from services.specialists.compliance.email_text.characters import plain
from services.specialists.compliance.email_text.lexicon import terms_in
from services.specialists.compliance.email_text.message import Message
from services.specialists.compliance.rules.rule import Problem, Situation


def draft(situation: Situation) -> Message:
    """The draft. Raises `ValueError` if a rule about drafts is asked before there is one."""
    if situation.message is None:
        raise ValueError("this rule is about a draft, and there is none at this stage")
    return situation.message


def missing(situation: Situation, rule: str) -> list[Problem]:
    """A problem for each required text of a rule that a part of the draft does not carry word for word."""
    message = draft(situation)
    parts = {"text part": plain(message.text), "HTML part": plain(message.html)}
    return [
        Problem(f"the {where} lacks the {text.name}", f"carry this text word for word in both parts: {text.text}")
        for text in situation.required_texts
        if text.rule == rule
        for where, part in parts.items()
        if plain(text.text) not in part
    ]


def said(situation: Situation, *lists: str) -> list[tuple[str, str, str]]:
    """(term, list, place) for each term of the pack's word lists that the draft uses in its own words."""
    return [
        (term, name, where)
        for where, part in situation.own_words.items()
        for name in lists
        for term in terms_in(part, situation.pack.lexicon[name])
    ]
