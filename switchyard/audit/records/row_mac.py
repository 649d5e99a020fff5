"""Authentication of rows: the audit process gives each row a MAC at ingest, with a key that the database never has.

A key serves for a day and is valid for two, so that a process outlives a day without KMS. Its wrapped form is in the
table `mac_key`; its id and times are authenticated with it.
"""

from __future__ import annotations

import hmac
import os
import uuid
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass, field
from datetime import date, datetime, timedelta

import structlog

from switchyard.audit.records.roles import AUDIT_DATABASE
from switchyard.runtime.core.clock import Clock, timestamp
from switchyard.runtime.core.errors import PermanentTaskError, Unavailable
from switchyard.runtime.crypto.vault import KEY_BYTES, KeyWrapper
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries

log = structlog.get_logger(__name__)
_SQL = load_queries(__file__)
ROTATION = timedelta(days=1)
"""How long a key serves before the next one is made."""

VALIDITY = 2 * ROTATION
"""How long a key is valid: while KMS is away, the old key serves until then."""

CLOCK_SKEW = timedelta(minutes=5)
"""How far two clocks may be apart, the time of one statement included."""

RETRY_S = 15.0
"""The pause before KMS is asked again for the next key, while the old one serves."""


@dataclass(frozen=True, slots=True)
class AuthenticRow:
    """What a row's MAC covers: the text as received, and the identity that every column follows from."""

    opened_on: date
    event_id: str
    digest: str
    body_sha256: bytes


@dataclass(frozen=True, slots=True)
class MacKey:
    """A key of HMAC-SHA-256, and the rows' times that it is valid for."""

    key_id: str
    not_before: datetime
    not_after: datetime
    secret: bytes = field(repr=False)

    def mac(self, row: AuthenticRow) -> bytes:
        """The row's MAC."""
        # No part but the last can hold a blank, so that each text has one meaning.
        text = f"switchyard-row/1 {row.opened_on} {row.event_id} {row.body_sha256.hex()} {row.digest}"
        return hmac.digest(self.secret, text.encode(), "sha256")

    def invalid_reason(self, row: AuthenticRow, mac: bytes, recorded_at: datetime) -> str | None:
        """Why a row with this MAC was not recorded by the audit process; None if it was."""
        if not hmac.compare_digest(mac, self.mac(row)):
            return "its MAC is not that of the audit process"
        # Differences, because a hostile time plus a span may be none that Python holds.
        if self.not_before - recorded_at > CLOCK_SKEW or recorded_at - self.not_after > CLOCK_SKEW:
            return f"it was recorded at {recorded_at.isoformat()}, when the key of its MAC was not valid"
        return None


@dataclass
class MacKeys:
    """The keys, through the database that holds them wrapped. `wrapper` is KMS, or a local key in the local stack."""

    pool: Pool
    wrapper: KeyWrapper
    clock: Clock
    _: KW_ONLY
    _known: dict[str, MacKey] = field(default_factory=dict, init=False)
    _altered: set[str] = field(default_factory=set, init=False)
    _serving: MacKey | None = field(default=None, init=False)
    _ask_again: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._database = Database(self.pool, AUDIT_DATABASE, _SQL)

    def known(self, key_id: str) -> MacKey | None:
        """A key that `load` has found."""
        return self._known.get(key_id)

    async def serving(self) -> MacKey:
        """The key for new rows: a process makes one at its first row and then once per `ROTATION`, in one call of KMS.

        Raises `Unavailable` if there is no valid key and the database or KMS cannot be reached.
        """
        now, key = self.clock.now(), self._serving
        if key is not None and now - key.not_before < ROTATION:
            return key
        valid = key is not None and now < key.not_after
        if key is not None and valid and self.clock.monotonic() < self._ask_again:
            return key
        try:
            self._serving = await self._make(now)
        except Unavailable as error:
            self._ask_again = self.clock.monotonic() + RETRY_S
            if key is None or not valid:
                raise
            log.warning("mac_key.not_rotated", alarm="mac_key", code=error.code, valid_until=timestamp(key.not_after))
            return key
        return self._serving

    async def load(self, key_ids: Iterable[str]) -> None:
        """Unwrap keys, so that `known` has them. One that is missing or was altered stays unknown.

        Raises `Unavailable` if the database or KMS cannot be reached.
        """
        wanted = sorted({key_id for key_id in key_ids if key_id not in self._known} - self._altered)
        for row in await self._database.rows("keys", wanted) if wanted else ():
            times = row["not_before"], row["not_after"]
            try:
                secret = await self.wrapper.unwrap(row["wrapped"], subject=_context(row["key_id"], *times))
            except PermanentTaskError:
                self._altered.add(row["key_id"])
                log.error("mac_key.altered", alarm="integrity", key_id=row["key_id"])  # noqa: TRY400 - it is what it says
                continue
            self._known[row["key_id"]] = MacKey(row["key_id"], *times, secret)

    async def _make(self, now: datetime) -> MacKey:
        key = MacKey(str(uuid.uuid4()), now, now + VALIDITY, os.urandom(KEY_BYTES))
        wrapped = await self.wrapper.wrap(key.secret, subject=_context(key.key_id, key.not_before, key.not_after))
        await self._database.execute("keep_key", key.key_id, key.not_before, key.not_after, wrapped)
        self._known[key.key_id] = key
        log.info("mac_key.made", key_id=key.key_id, valid_until=timestamp(key.not_after))
        return key


def invalid_mac_reason(keys: MacKeys, row: AuthenticRow, mac: bytes, key_id: str, recorded_at: datetime) -> str | None:
    """Why a row is not authentic, by the keys that `load` has found; None if it is."""
    key = keys.known(key_id)
    if key is None:
        return f"its MAC names the key {key_id}, which is missing or was altered"
    return key.invalid_reason(row, mac, recorded_at)


def _context(key_id: str, not_before: datetime, not_after: datetime) -> str:
    """What is authenticated with a wrapped key: the key of another id or another time cannot be put in its place."""
    return f"switchyard-row-mac/1 {key_id} {timestamp(not_before)} {timestamp(not_after)}"
