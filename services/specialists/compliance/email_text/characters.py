"""Characters: which ones are legible, and normal forms for comparisons."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

_PUNCTUATION = frozenset(
    "\t\n !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
    "\u00a0\u00a7\u00a9\u00ae\u00b7\u2010\u2011\u2013\u2014\u2018\u2019\u201c\u201d\u2022\u2026\u2122"
)
_LOOKALIKES = frozenset("\u0131\u0138\u0149\u017f\u01c0\u01c1\u01c2\u01c3")
_PLAIN = str.maketrans({
    "\u00a0": " ", "\t": " ", "\u2010": "-", "\u2011": "-", "\u2013": "-", "\u2014": "-", "\u2018": "'",
    "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2022": " ", "\u00b7": " ", "\u2026": "...",
})  # fmt: skip


_CAPITAL_I = re.compile(r"\b(?:[A-Za-z]*[a-z]I[a-z]+|I[a-z]{2,})\b")


def is_legible(character: str) -> bool:
    """Whether a reader recognises this character.

    An allow-list: ASCII, letters of the Latin blocks that European and Vietnamese names use, and usual punctuation.
    Everything else is illegible: zero-width and bidirectional controls, other scripts' lookalikes, full-width and
    mathematical letters, superscript digits, tags.
    """
    if character in _PUNCTUATION:
        return True
    point = ord(character)
    if point < 0x80:
        return character.isalnum()
    if character in _LOOKALIKES or not character.isalpha():
        return False
    return 0xC0 <= point < 0x180 or 0x218 <= point <= 0x21B or 0x1EA0 <= point <= 0x1EF9


def illegible_characters(text: str) -> tuple[str, ...]:
    """The characters of a text that are not legible, as `U+200B ZERO WIDTH SPACE`, each once."""
    found = dict.fromkeys(character for character in text if not is_legible(character))
    return tuple(f"U+{ord(each):04X} {unicodedata.name(each, 'without a name')}" for each in found)


def normalize_text(text: str) -> str:
    """The normal form in which texts are compared: NFC, one kind of quotes, dashes and spaces, no run of spaces."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFC", text).translate(_PLAIN)).strip()


def fold_text(text: str) -> str:
    """The folded form in which word lists are looked up: normalised, lower case, each character as the ASCII letter
    with which it is confused (Unicode TR 39), no accents, nothing invisible."""
    text = _CAPITAL_I.sub(_unmasked, normalize_text(text))
    if text.isascii():
        return text.casefold()
    decomposed = unicodedata.normalize("NFKD", text).translate(_lookalikes()).casefold()
    return "".join(each for each in decomposed if unicodedata.category(each) not in {"Mn", "Me", "Cf", "Cc"})


def _unmasked(word: re.Match[str]) -> str:
    """`poIice` and `Iawsuit`: a capital I that stands for an l becomes the 1 in which the lists look for both."""
    return word[0] if _is_english(word[0].casefold()) else word[0].replace("I", "1")


@cache
def _is_english(word: str) -> bool:
    from simplemma import is_known

    return is_known(word, lang="en")


@cache
def _lookalikes() -> dict[int, str]:
    """The ASCII letter or digit for each other character that is confused with it, such as Cyrillic ones."""
    from confusable_homoglyphs.confusables import confusables_data

    table: dict[int, str] = {}
    for character, alike in confusables_data.items():
        if not character.isascii() and len(character) == 1:
            plain = next((each for each in map(_without_marks, alike) if each.isascii() and each.isalnum()), None)
            if plain is not None:
                # The lists look for i and l where there is a 1.
                table[ord(character)] = "1" if plain in {"i", "I", "l"} else plain
    return table


def _without_marks(homoglyph: dict[str, str]) -> str:
    decomposed = unicodedata.normalize("NFKD", homoglyph["c"])
    return "".join(each for each in decomposed if unicodedata.category(each) != "Mn")
