"""What the compliance specialist emits: verdicts on a contact, on a draft, and on the moment of sending."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from switchyard.protocol.fields import Artefact, Code, Contract, PackVersion, Sentence, Sha256, Timestamp

RuleId = Annotated[str, Field(pattern=r"^R[0-9]{2}$")]
VerdictKind = Literal["pass", "block", "warn", "unknown", "reschedule"]


class RuleResult(Contract):
    """One rule's verdict. The evidence may quote the person or the draft, so it is only in the sealed `review`.

    `input_hash` is SHA-256(salt || canonical JSON of the rule, the pack and all that the rule read). What a rule reads
    is often a flag or a date, which could be guessed from a plain hash; the salt, 16 random bytes for each review,
    stands only in the sealed `review`. Who may open that can check the hash. To everybody else, and to everybody once
    the person's key is erased, it says nothing, not even whether two reviews read the same.
    """

    rule: RuleId
    verdict: VerdictKind
    input_hash: Sha256 = Field(description="Of everything that the rule read, salted: see the class.")


class _ReviewResult(Contract):
    pack: PackVersion
    results: tuple[RuleResult, ...]
    review: Artefact = Field(description="The results with their evidence, and the rubric's scores. Sealed.")


class ContactAllowed(_ReviewResult):
    """This person may be contacted by email about this debt. The moment of sending is checked again later."""


class ContactBlocked(_ReviewResult):
    """This person may not be contacted, or not for this purpose."""

    code: Code = "contact_blocked"
    message: Sentence = Field(description="The rules that block, by id and name.")
    rules: tuple[RuleId, ...] = Field(min_length=1)


class EmailPassed(_ReviewResult):
    """Exactly this content passed this pack. `approval` is set if the policy wants a person to agree."""

    content_sha256: Sha256
    approval: Code | None = Field(default=None, description="Why a person must approve it, if one must.")


class RevisionNeeded(_ReviewResult):
    """The draft can be revised: the drafter gets the findings."""

    code: Code = "draft_blocked"
    message: Sentence = Field(description="The rules and criteria that it fails.")
    rules: tuple[RuleId, ...] = ()


class EmailBlocked(_ReviewResult):
    """Writing the draft again cannot help."""

    code: Code = "email_blocked"
    message: Sentence
    rules: tuple[RuleId, ...] = ()


class SendingAllowed(_ReviewResult):
    """This content passed the current pack, and person and moment are right now."""

    content_sha256: Sha256
    valid_until: Timestamp = Field(description="The moment was checked for sending before this time.")


class SendingDeferred(_ReviewResult):
    """Not now: quiet hours, or a time that the consumer called inconvenient."""

    until: Timestamp
    halted: Literal[False] = False
    rules: tuple[RuleId, ...] = Field(min_length=1)


class ReviewOutdated(Contract):
    """The rule pack changed since the draft passed: it is reviewed again, and approved again if it must be."""

    pack: PackVersion
    passed_under: PackVersion
