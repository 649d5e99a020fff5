"""What of earlier turns fits into a prompt: the newest whole, older ones shortened, and then none. Pure."""

from __future__ import annotations

from contracts.documents.memory import RememberedFact, RememberedTurn

CHARS_PER_TOKEN = 4
"""About: the models' tokenizers differ."""

MAX_CHARS = 2_000
"""Of one question or answer, however large the budget is."""

SHORT_CHARS = 200
WHOLE_TURNS = 2
"""The newest turns, which a follow-up is most likely about, are quoted as they are."""

FRAME_TOKENS = 30
"""Of each turn: its number, its date, and the names of the fields."""


def tokens_of(turn: RememberedTurn) -> int:
    """About how many tokens a turn adds to a prompt."""
    return FRAME_TOKENS + -(-len(turn.question + turn.answer) // CHARS_PER_TOKEN)


def tokens_of_fact(fact: RememberedFact) -> int:
    """About how many tokens a fact adds to a prompt."""
    return FRAME_TOKENS + -(-len(fact.value) // CHARS_PER_TOKEN)


def shorten(turn: RememberedTurn, *, age: int, tokens: int) -> RememberedTurn:
    """The turn as it is quoted; `age` counts from 0 for the newest, which always fits into `tokens`."""
    most = MAX_CHARS if age < WHOLE_TURNS else SHORT_CHARS
    if age == 0:
        most = max(1, min(most, (tokens - FRAME_TOKENS) * CHARS_PER_TOKEN // 2))
    return turn.model_copy(update={"question": _cut(turn.question, most), "answer": _cut(turn.answer, most)})


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
