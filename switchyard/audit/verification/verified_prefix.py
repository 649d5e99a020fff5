"""What was verified before: the log up to a signed checkpoint, so that later runs read only newer rows.

Its record is stored beside the checkpoints, where the database's owner cannot write, by a verifier's role only. It
counts only with the checkpoint that it names, as the store has it and a trusted key signed it.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field, ValidationError

from switchyard.audit.records.row_mac import CLOCK_SKEW
from switchyard.audit.transparency.checkpoint import CheckpointBody, LogHead, LogName, checkpoint_key, head_after
from switchyard.audit.verification.case_verifier import VERIFICATION_GRACE
from switchyard.audit.verification.checkpoint_checks import StoredCheckpoint, read_checkpoint
from switchyard.protocol.canonical import canonical_json, parse_json
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Contract, Sha256, Timestamp
from switchyard.runtime.core.clock import moment, timestamp
from switchyard.runtime.crypto.signing import TrustedKeys
from switchyard.runtime.storage.locked_objects import LockedObjects

SETTLING = VERIFICATION_GRACE + CLOCK_SKEW
"""A checkpoint younger than this is verified again: findings about its rows may still be pending."""

RECORD_LOCK = timedelta(days=1)
RECORD_VALIDITY = timedelta(days=35)
"""An older record does not count: everything is read then."""


class VerificationRecord(Contract):
    """What one run verified without a finding: every log index up to `last`, those from `first` in this run."""

    format: Annotated[str, Field(pattern=r"^switchyard-verification/1$")] = "switchyard-verification/1"
    log: LogName
    number: Annotated[int, Field(ge=1, description="The last checkpoint of the verified rows.")]
    checkpoint: Sha256 = Field(description="The hash of its signed body.")
    first: Annotated[int, Field(ge=1)]
    last: Annotated[int, Field(ge=1)]
    verified_at: Timestamp
    full_at: Timestamp = Field(description="When every row was last read.")
    checks: list[str] = Field(description="What was checked beside the chain: macs, locks.")


@dataclass(frozen=True, slots=True)
class VerifiedPrefix:
    """A record that counts, with the signed body of its checkpoint."""

    record: VerificationRecord
    body: CheckpointBody

    @property
    def head(self) -> LogHead:
        """Where the rows begin that were not verified yet."""
        return head_after(self.body)

    @property
    def recorded_since(self) -> datetime | None:
        """No row after the prefix was recorded earlier; None if that is not known."""
        since = self.head.not_before
        return None if since is None else moment(since)

    @property
    def recorded_until(self) -> datetime:
        """No row of the prefix was recorded later."""
        return moment(self.body.made_at) + CLOCK_SKEW

    @property
    def verified_since(self) -> datetime:
        """What happened after it may not have been seen by the run that made the record."""
        return moment(self.record.verified_at) - SETTLING

    @property
    def full_at(self) -> datetime:
        """When every row was last read."""
        return moment(self.record.full_at)


class NoVerifiedPrefix(Exception):
    """No record counts; the text says why. Remedy: a full verification, whose record counts."""


@dataclass(frozen=True)
class VerificationRecords:
    """The records of one log. `checks` are those that this verifier makes: a record of a run that made fewer does not
    count. Every method raises `Unavailable` when the store cannot be reached."""

    objects: LockedObjects
    keys: TrustedKeys
    log: str
    checks: frozenset[str]

    async def latest(self, now: datetime) -> VerifiedPrefix:
        """The newest prefix that counts. Raises `NoVerifiedPrefix`."""
        newest = None
        async with aclosing(self.objects.kept(self._key(), after=self._key(now - RECORD_VALIDITY))) as listed:
            async for each in listed:
                newest = each
        found = None if newest is None else await self.objects.read(newest)
        if found is None:
            raise NoVerifiedPrefix(f"no verification was recorded in the last {RECORD_VALIDITY.days} days")
        try:
            record = VerificationRecord.model_validate_json(canonical_json(parse_json(found.data)))
        except (InvalidEvent, ValidationError) as error:
            raise NoVerifiedPrefix("the record of the last verification cannot be read") from error
        if record.log != self.log or moment(record.verified_at) > now + CLOCK_SKEW:
            raise NoVerifiedPrefix("the record of the last verification is of another log, or of a time to come")
        if missing := sorted(self.checks - set(record.checks)):
            raise NoVerifiedPrefix(f"the last verification did not check {' and '.join(missing)}")
        return VerifiedPrefix(record, await self._body(record))

    async def keep(
        self, settled: CheckpointBody, *, first: int, full_at: datetime, now: datetime
    ) -> VerificationRecord:
        """Record that everything up to a checkpoint was verified at `now`. Raises `PermanentTaskError` if the bucket
        has no Object Lock."""
        record = VerificationRecord(
            log=self.log,
            number=settled.number,
            checkpoint=settled.hash(),
            first=first,
            last=settled.last,
            verified_at=timestamp(now),
            full_at=timestamp(full_at),
            checks=sorted(self.checks),
        )
        data = canonical_json(record.model_dump(mode="json"))
        await self.objects.put_new(self._key(now), data, keep_until=now + RECORD_LOCK, content_type="application/json")
        return record

    async def _body(self, record: VerificationRecord) -> CheckpointBody:
        """The signed body that a record is bound to."""
        found = await self.objects.get(checkpoint_key(self.log, record.number))
        stored = StoredCheckpoint(record.number, found.data if found else None, 1, None, None)
        checkpoint, _ = read_checkpoint(stored, LogHead(), self.keys, log=self.log)
        if checkpoint is None:
            raise NoVerifiedPrefix(f"checkpoint {record.number}, up to which was verified, is missing or invalid")
        if (checkpoint.body.hash(), checkpoint.body.last) != (record.checkpoint, record.last):
            raise NoVerifiedPrefix(f"checkpoint {record.number} is not the one up to which was verified")
        return checkpoint.body

    def _key(self, at: datetime | None = None) -> str:
        return f"verifications/{self.log}/" + ("" if at is None else f"{timestamp(at)}.json")
