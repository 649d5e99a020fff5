"""Which memories a question gets: reciprocal rank over words and vectors, a threshold, and at most five. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

MOST = 5
K = 60
"""Of reciprocal rank fusion: how little the first places count above the next."""

LEAST_SIMILARITY = 0.2
"""Of a memory that shares no word with the question, by cosine."""

SYNONYMS = {
    "gor": "gas-oil ratio", "eur": "reserves", "wc": "water cut", "bopd": "oil rate", "lift": "pump", "esp": "pump",
    "workover": "repair", "m3": "cubic metres", "crew": "technicians", "shut-in": "down", "boe": "oil equivalent",
}  # fmt: skip
"""Jargon that embeddings know little of."""


def expand(question: str) -> str:
    """The question with what its jargon stands for."""
    words = question.lower().replace("?", " ").replace(",", " ").split()
    return " ".join([question, *(SYNONYMS[word] for word in words if word in SYNONYMS)])


def choose(similarities: Sequence[float], word_ranks: Mapping[int, float], most: int = MOST) -> list[int]:
    """The places of the memories to recall, best first. `word_ranks` has those that share a word with the question."""
    by_vector = sorted(range(len(similarities)), key=lambda place: -similarities[place])
    by_words = sorted(word_ranks, key=lambda place: -word_ranks[place])
    scores: dict[int, float] = {}
    for ranking in ([place for place in by_vector if similarities[place] >= LEAST_SIMILARITY], by_words):
        for rank, place in enumerate(ranking, start=1):
            scores[place] = scores.get(place, 0.0) + 1 / (K + rank)
    return sorted(scores, key=lambda place: (-scores[place], place))[:most]
