"""Log indexes and checkpoints in a test's hands, with a clock and a key of its own."""

from __future__ import annotations

from datetime import timedelta

from switchyard.audit.records.row_mac import MacKeys
from switchyard.audit.transparency.checkpointer import Checkpointer, CheckpointSchedule
from switchyard.audit.transparency.transparency_log import TransparencyLog
from switchyard.audit.verification.checkpoint_verifier import CheckpointVerifier
from switchyard.audit.verification.findings import CheckpointReport
from switchyard.runtime.core.clock import SystemClock
from switchyard.runtime.crypto.signing import LocalSigner, Signer, TrustedKeys
from switchyard.runtime.crypto.vault import LocalKeyWrapper
from switchyard.runtime.database.connections import Pool
from switchyard.runtime.storage.locked_objects import LockedObjects

SEED = bytes(range(32))
SIGNER = LocalSigner(SEED)
RECEIPTS = LocalSigner(bytes(32))
"""Signs what the tests of retention retire."""

ROW_KEY = b"\7" * 32
"""Wraps the keys of the rows' MACs: the database's owner does not have it."""

BATCH = 10_000


class Proof:
    """One log's checkpoints: made by the parts that the service is composed of, read by those of the command line."""

    def __init__(self, transparency_log: TransparencyLog, objects: LockedObjects, reading: Pool, log: str) -> None:
        self.transparency_log = transparency_log
        self.objects = objects
        self.log = log
        self._reading = reading

    def checkpoints(self, signer: Signer = SIGNER, *, rows: int = 1_000, seconds: float = 60.0) -> Checkpointer:
        """What makes checkpoints."""
        schedule = CheckpointSchedule(rows, seconds, timedelta(days=1))
        return Checkpointer(self.objects, signer, TrustedKeys([signer.public]), SystemClock(), schedule, name=self.log)

    async def index_rows(self) -> int:
        """Give every waiting row its log index."""
        return await self.transparency_log.index_rows(BATCH)

    async def checkpoint(self) -> None:
        """Index and checkpoint everything now."""
        await self.index_rows()
        assert await self.checkpoints().write_if_due(self.transparency_log, now=True)

    def verifier(self, *trusted: bytes, macs: MacKeys | None = None) -> CheckpointVerifier:
        """What compares rows and checkpoints for somebody who trusts these keys; the test's own without any."""
        keys = TrustedKeys(trusted or [SIGNER.public])
        receipts = TrustedKeys([RECEIPTS.public])
        return CheckpointVerifier(self._reading, self.objects, keys, log=self.log, receipts=receipts, macs=macs)

    async def verify(self, *trusted: bytes, macs: MacKeys | None = None) -> CheckpointReport:
        """What the checkpoints prove to them."""
        return await self.verifier(*trusted, macs=macs).verify()


def mac_keys(pool: Pool) -> MacKeys:
    """The keys of the rows' MACs for somebody who may unwrap them: the service, and a verifier."""
    return MacKeys(pool, LocalKeyWrapper(ROW_KEY), SystemClock())
