"""What a company writes to consumers for, and the wording that the law requires, as a file: one for who writes an email
and for who checks it."""

from __future__ import annotations

import os
import string
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from contracts.documents.accounts import Purpose

MAX_TEXT_CHARS = 1_000
Text = Annotated[str, Field(min_length=10, max_length=MAX_TEXT_CHARS, pattern=r"^[\x20-\x7e]+$")]
"""One line of plain characters: what a reader sees is what is compared."""

FACTS = frozenset(
    {
        *("agency", "address", "phone", "website", "original_creditor", "current_creditor", "reference"),
        *("itemization_on", "validation_ends_on", "principal", "interest", "fees", "payments", "balance"),
    }
)
"""What a text of the validation notice may name in braces."""

_NEEDED = {
    "collector": {"agency", "current_creditor"},
    "debt": {"original_creditor", "reference", "current_creditor"},
    "itemization": {"itemization_on", "principal", "interest", "fees", "payments", "balance"},
    "dispute": {"validation_ends_on"},
    "original_creditor": {"validation_ends_on"},
    "rights": set[str](),
    "contact": {"agency", "address", "phone", "website"},
}
"""What each text must name: 12 CFR 1006.34(c)."""


class WordingError(Exception):
    """A file of wording cannot be used. The message names the field and the remedy."""


class ValidationNotice(BaseModel):
    """The items of the validation notice, in order. Raises `ValueError` for a text without a fact that it must name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    collector: Text
    debt: Text
    itemization: Text
    dispute: Text
    original_creditor: Text
    rights: Text
    contact: Text

    @model_validator(mode="after")
    def _names_facts(self) -> Self:
        for item, needed in _NEEDED.items():
            named = _named(item, getattr(self, item))
            if unknown := named - FACTS:
                raise ValueError(f"{item}: {{{min(unknown)}}} is not a fact: one of {', '.join(sorted(FACTS))}")
            if missing := needed - named:
                raise ValueError(f"{item}: {{{min(missing)}}} is missing, and the law requires it")
        return self


class EmailPurpose(BaseModel):
    """What an email is for: what it must say, and which rules treat it differently."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    write: Text
    validation_notice: bool = Field(default=False, description="It is the validation notice (R11).")
    offer: bool = Field(default=False, description="It may state the ledger's offers (R14).")
    answers_dispute: bool = Field(default=False, description="It may go while a dispute is open (R12).")


class Wording(BaseModel):
    """The purposes and every required text. Raises `ValueError` for braces in a text that no fact is put into, and
    without a purpose that is the validation notice."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9._-]+$")]
    first_contact: Text
    later_contact: Text
    opt_out: Text
    time_barred: Text
    rights_url: Annotated[str, Field(pattern=r"^https://[\x21-\x7e]{4,180}$")]
    validation: ValidationNotice
    purposes: dict[Purpose, EmailPurpose]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name in ("first_contact", "later_contact", "opt_out", "time_barred"):
            if any(brace in getattr(self, name) for brace in "{}"):
                raise ValueError(f"{name}: no fact is put into this text: write it without braces")
        if self.rights_url not in self.validation.rights:
            raise ValueError("validation.rights: rights_url is missing in it")
        if not self.notices:
            raise ValueError("purposes: none has validation_notice = true, and a first communication must be one")
        return self

    def __hash__(self) -> int:
        # A dictionary has none; equal wordings have equal versions.
        return hash(self.version)

    @property
    def notices(self) -> tuple[Purpose, ...]:
        """The purposes that are the validation notice."""
        return tuple(name for name, purpose in self.purposes.items() if purpose.validation_notice)

    def unknown_purpose(self, name: Purpose) -> str | None:
        """Why no email can be written for a purpose, with the remedy; None if it can."""
        if name in self.purposes:
            return None
        known = ", ".join(self.purposes)
        return f"the purpose {name} is unknown: name one of {known}, or add it to the file in SWITCHYARD_WORDING"


def _named(item: str, text: str) -> set[str]:
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"{item}: {error}") from None
    if any(spec or conversion for _, _, spec, conversion in parts):
        raise ValueError(f"{item}: a fact is named as {{agency}}, without a format")
    return {name for _, name, _, _ in parts if name is not None}


def parse_wording(text: str, name: str) -> Wording:
    """The wording of a TOML document; `name` is the file's. Raises `WordingError`."""
    try:
        return Wording.model_validate(tomllib.loads(text))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise WordingError(f"{name}: {where}{': ' if where else ''}{first['msg']}") from error
    except RecursionError as error:
        raise WordingError(f"{name}: it is nested too deeply") from error
    except ValueError as error:
        raise WordingError(f"{name}: {error}") from error


def configured_wording() -> Wording:
    """The wording that a command of this shell uses: the file in SWITCHYARD_WORDING, or the shipped one. Raises
    `WordingError`."""
    return load_wording(Path(own) if (own := os.environ.get("SWITCHYARD_WORDING")) else None)


def load_wording(path: Path | None) -> Wording:
    """The wording of a file, or the shipped one. Raises `WordingError`."""
    if path is None:
        return SHIPPED
    try:
        return parse_wording(path.read_text(encoding="utf-8"), path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise WordingError(f"{path} cannot be read: name a readable file in SWITCHYARD_WORDING") from error


SHIPPED = parse_wording((files("contracts.documents") / "wording.toml").read_text(encoding="utf-8"), "wording.toml")
"""The wording that goes with the shipped rule pack."""
