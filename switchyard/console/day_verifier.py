"""Verifying a day on request: one at a time, and not for long. The command line has no such limits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import date

from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.audit.verification.findings import VerifyReport
from switchyard.console.app import BadInput

VERIFY_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class DayVerifier:
    """Reads the log."""

    log: AuditReader
    _running: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def verify(self, day: date) -> VerifyReport:
        """What `switchyard audit verify` finds on this day. Raises `BadInput` (409) while another day is verified, and
        for a day that takes too long."""
        if self._running.locked():
            raise BadInput("a day is being verified: wait, or run switchyard audit verify", 409)
        async with self._running:
            try:
                async with asyncio.timeout(VERIFY_TIMEOUT_S):
                    return await self.log.verify(day=day)
            except TimeoutError:
                why = f"this day takes longer than {VERIFY_TIMEOUT_S:.0f} s: run switchyard audit verify"
                raise BadInput(why, 409) from None
