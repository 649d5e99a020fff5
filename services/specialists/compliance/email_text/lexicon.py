"""Finds the phrases of a word list in a text, in every inflection and in common disguises."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise, product

from simplemma import lemmatize

from services.specialists.compliance.email_text.characters import fold_text
from services.specialists.compliance.pack import WordList

_LEET = {
    "4": "a", "@": "a", "8": "b", "3": "e", "9": "g", "6": "g", "1": "il", "!": "il", "|": "il", "0": "o", "5": "s",
    "$": "s", "7": "t", "+": "t", "2": "z",
}  # fmt: skip
_WORD = re.compile(r"[a-z0-9@$](?:[a-z0-9'@$!|+]*[a-z0-9@$|+])?")
_INNER_MARK = re.compile(r"(?<=[a-z])[-_.*/](?=[a-z])")
_MASKED = re.compile(r"(?<![a-z0-9])[a-z]+[*#][a-z]+(?![a-z0-9])")
"""A word with a letter left out: `sc*mbag`."""
_LOOKS_LIKE = (("rn", "m"), ("vv", "w"), ("cl", "d"), ("m", "rn"), ("d", "cl"))
"""Pairs of letters that look like one, both ways: `clamage`, `gamishment`."""
_LETTERS_APART = re.compile(r"(?<![a-z0-9])[a-z0-9](?:[ .\-_*/,]{1,3}[a-z0-9]){2,}(?![a-z0-9])")
_RUN = re.compile(r"(.)\1{2,}")
_MAX_FORMS = 24
_MAX_LEMMA = 30
"""Longer words are no words: they have no lemma."""

_LONGEST_APART = 16
_LEAST_SPLIT = 5
"""A word in two halves is looked up from this length on: shorter ones occur by chance."""

GAP = "qxq"
"""Replaces a removed phrase, so that the words around it do not become one phrase."""

_ANY = "_"
_FAMILY = "*"


@dataclass(frozen=True)
class Phrase:
    """A phrase of a list: for each word its forms and the beginnings of its family; no forms fit any word."""

    text: str
    words: tuple[tuple[frozenset[str], tuple[str, ...]], ...]


@dataclass(frozen=True)
class FoldedWords:
    """The words of a text, in one or two readings."""

    readings: tuple[tuple[tuple[str, frozenset[str]], ...], ...]
    """Each word with the forms in which a list may have it."""

    joined: frozenset[str]
    """Forms of words that were taken apart: letter by letter, or in two halves."""


def read_words(folded: str) -> FoldedWords:
    """The words of a folded text: as written, without marks inside words (`ar-rest`), and with letters put together."""
    plain = _WORD.findall(folded)
    without_marks = _WORD.findall(_INNER_MARK.sub("", folded))
    readings = [plain] if plain == without_marks else [plain, without_marks]
    joined: set[str] = set()
    for found in _LETTERS_APART.finditer(folded):
        letters = re.sub(r"[^a-z0-9]", "", found[0])
        if any(each.isalpha() for each in letters):
            joined |= set(_pieces(letters))
    for found in _MASKED.finditer(folded):
        joined |= {re.sub("[*#]", vowel, found[0]) for vowel in "aeiouy"}
    joined |= {one + other for one, other in pairwise(plain) if len(one) + len(other) >= _LEAST_SPLIT}
    return FoldedWords(
        tuple(tuple((word, word_forms(word)) for word in words) for words in readings),
        frozenset(form for word in joined if len(word) <= _MAX_LEMMA for form in word_forms(word)),
    )


def _unlike(word: str) -> Iterator[str]:
    """The word with pairs of letters as what they look like: each one alone, and all of a kind."""
    for pair, alike in _LOOKS_LIKE:
        pieces = word.split(pair)
        if len(pieces) > 1:
            yield alike.join(pieces)
            for at in range(1, len(pieces)):
                yield f"{pair.join(pieces[:at])}{alike}{pair.join(pieces[at:])}"


def _pieces(letters: str) -> Iterator[str]:
    """Every piece of three letters or more: `a j a i l` says jail."""
    for start in range(len(letters) - 2):
        for end in range(start + 3, min(start + _LONGEST_APART, len(letters)) + 1):
            yield letters[start:end]


@lru_cache(maxsize=50_000)
def word_forms(word: str) -> frozenset[str]:
    """The word, its lemma, and the same of what it may disguise: `g4rnishm3nts`, `jaaail`, `damn's`."""
    if not any(each.isalpha() for each in word):
        # "a55" is a disguise, "455" is a number.
        return frozenset({word})
    word = word.removesuffix("'s").strip("'")
    spelt = {word}
    if any(each in _LEET for each in word):
        choices = [_LEET.get(each, each) for each in word]
        if sum(len(each) > 1 for each in choices) <= 3:
            spelt |= {"".join(each) for each in product(*choices)}
    for each in tuple(spelt):
        if _RUN.search(each):
            spelt |= {_RUN.sub(r"\1", each), _RUN.sub(r"\1\1", each)}
        spelt |= set(_unlike(each))
    some = sorted(spelt)[:_MAX_FORMS]
    return frozenset(some) | {lemmatize(each, lang="en").casefold() for each in some if len(each) <= _MAX_LEMMA}


def find_terms(text: str, words: WordList) -> tuple[str, ...]:
    """What a text contains of a list, as it says it, each once, less what is part of a harmless phrase."""
    return find_in_words(read_words(fold_text(text)), words)


def find_in_words(text: FoldedWords, words: WordList) -> tuple[str, ...]:
    """The same for a text whose words are read already."""
    terms, unless, single = _compiled(words.terms), _compiled(words.unless), _single_words(words.terms)
    found: dict[str, None] = {}
    for reading in text.readings:
        forms = [each for _, each in reading]
        if unless:
            for start, length in tuple(_found_at(forms, unless)):
                forms[start : start + length] = [frozenset({GAP})] * length
        found |= {
            " ".join(word for word, _ in reading[start : start + length]): None
            for start, length in _found_at(forms, terms)
        }
    found |= {phrase.text: None for phrase in single if _fits(text.joined, phrase.words[0])}
    return tuple(found)


def remove_phrases(text: str, phrases: Iterable[str]) -> str:
    """The folded text less some phrases, such as names and required texts."""
    lowered = fold_text(text)
    for phrase in sorted({fold_text(each) for each in phrases} - {""}, key=len, reverse=True):
        lowered = re.sub(rf"(?<![a-z0-9]){re.escape(phrase)}(?![a-z0-9])", f" {GAP} ", lowered)
    return lowered


def _found_at(forms: Sequence[frozenset[str]], phrases: dict[str, list[Phrase]]) -> Iterator[tuple[int, int]]:
    """Where a phrase is, and how many words it has."""
    for start, word in enumerate(forms):
        keys = {form[:3] for form in word} | {_ANY}
        for phrase in (each for key in keys for each in phrases.get(key, ())):
            length = len(phrase.words)
            if start + length <= len(forms) and all(map(_fits, forms[start : start + length], phrase.words)):
                yield start, length


def _fits(forms: frozenset[str], word: tuple[frozenset[str], tuple[str, ...]]) -> bool:
    exact, families = word
    if not exact and not families:
        return True
    return not exact.isdisjoint(forms) or any(form.startswith(families) for form in forms if families)


@cache
def _compiled(terms: tuple[str, ...]) -> dict[str, list[Phrase]]:
    """The phrases by the first three letters of what they may begin with."""
    table: dict[str, list[Phrase]] = {}
    for term in terms:
        phrase = Phrase(term, tuple(_phrase_word(word) for word in re.split(r"[^a-z0-9'|*_]+", term) if word))
        exact, families = phrase.words[0]
        for key in {each[:3] for each in (*exact, *families)} or {_ANY}:
            table.setdefault(key, []).append(phrase)
    return table


def _phrase_word(word: str) -> tuple[frozenset[str], tuple[str, ...]]:
    if word == _ANY:
        return frozenset(), ()
    choices = word.split("|")
    families = tuple(each.removesuffix(_FAMILY) for each in choices if each.endswith(_FAMILY))
    exact = {each for each in choices if not each.endswith(_FAMILY)}
    return frozenset(exact | {lemmatize(each, lang="en").casefold() for each in exact}), families


@cache
def _single_words(terms: tuple[str, ...]) -> tuple[Phrase, ...]:
    return tuple(each for some in _compiled(terms).values() for each in some if len(each.words) == 1)
