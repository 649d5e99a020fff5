"""Four eyes: an effect that a person asked for is approved by another person, under any name of either.

Approvers and submitters are compared as persons, never as text. Configuration says under which identities a person
submits. A submitter whom it does not name may be anybody, an approver too, so two persons must agree.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from switchyard.protocol.fields import Principal

_STAFF = "staff:"


def submitter_of(principal: Principal) -> str:
    """Who asked for the effect, as intake recorded it: the member of staff, or who submitted."""
    return next((actor.removeprefix(_STAFF) for actor in principal.act if actor.startswith(_STAFF)), principal.sub)


def fold_identity(text: str) -> str:
    """An identity without the differences that people do not mean: compatibility forms, case, surrounding blanks."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).strip()


class FourEyes:
    """Who is who among approvers and submitters. An approver's name is one of their identities; a person who approves
    under two names has the second one among the identities of the first.

    Raises `ValueError` if one identity is given to two persons, as two approvers whose names differ in case only would.
    """

    def __init__(self, approvers: Iterable[str], identities: Mapping[str, Sequence[str]] | None = None) -> None:
        self._persons: dict[str, str] = {}
        self._approvers = frozenset(approvers)
        for person, own in (identities or {}).items():
            for identity in (person, *own):
                if self._persons.setdefault(fold_identity(identity), person) != person:
                    raise _ambiguous(identity)
        spelt: dict[str, str] = {}
        for name in self._approvers:
            self._persons.setdefault(fold_identity(name), name)
            if spelt.setdefault(fold_identity(name), name) != name:
                raise _ambiguous(name)

    def approvals_needed(self, submitter: str) -> int:
        """How many persons must agree: one if the submitter is known, else two."""
        return 2 if self._person(submitter) is None else 1

    def is_submitter(self, approver: str, submitter: str) -> bool:
        """Whether the approver is known to be who asked."""
        return self._person(submitter) is not None and self._person(submitter) == self._person(approver)

    def may_approve(self, approver: str, submitter: str) -> bool:
        """Whether this person is an approver, and not known to be the submitter."""
        return approver in self._approvers and not self.is_submitter(approver, submitter)

    def is_approved(self, approvers: Iterable[str], submitter: str) -> bool:
        """Whether enough of those who agreed count; a person counts once, under however many names."""
        counted = {self._person(approver) for approver in approvers if self.may_approve(approver, submitter)}
        return len(counted) >= self.approvals_needed(submitter)

    def _person(self, identity: str) -> str | None:
        return self._persons.get(fold_identity(identity))


def _ambiguous(identity: str) -> ValueError:
    return ValueError(
        f"the identity {identity} belongs to two persons: name it once in SWITCHYARD_APPROVERS and "
        "SWITCHYARD_SUBMITTER_IDENTITIES"
    )
