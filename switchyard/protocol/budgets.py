"""Limits of what a tenant may spend on models: what an operator signs, and how the log and a case's ending name it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from switchyard.protocol.errors import invalid

BUDGET_EXCEEDED = "budget_exceeded"
"""The code of a task, and the outcome of a case, that was stopped because a limit was reached."""

EVERY_TENANT = "every-tenant"
"""In place of a tenant: of a limit of all that have none of their own, and of an event about a playbook."""

LimitPeriod = Literal["day", "case"]
MICROS_PER_DOLLAR = 1_000_000
NO_LIMIT = "none"
_AMOUNT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
_TARGET = re.compile(r"([!-~]{1,200})/(day|case)/([0-9]{1,9}\.[0-9]{6}|none)")


@dataclass(frozen=True)
class MoneyLimit:
    """What a tenant may spend in a day (UTC), or in one case. `micros`: micro-dollars; None for no limit."""

    tenant: str
    period: LimitPeriod
    micros: int | None

    @property
    def target(self) -> str:
        """The one form in which it is signed: `harbor/day/50.000000`."""
        return f"{self.tenant}/{self.period}/{_amount(self.micros)}"

    @classmethod
    def from_target(cls, target: str) -> MoneyLimit:
        """The limit of a signed command. Raises `InvalidEvent` for another form."""
        found = _TARGET.fullmatch(target)
        if found is None:
            raise invalid("the target is no limit: expected tenant/day/50.000000", "target", "sign it again")
        tenant, period, amount = found.groups()
        return cls(tenant, "day" if period == "day" else "case", parse_dollars(amount))


def parse_dollars(text: str) -> int | None:
    """Micro-dollars of an amount in dollars; None for `none`. Raises `InvalidEvent` for what is no amount."""
    if text == NO_LIMIT:
        return None
    if _AMOUNT.fullmatch(text):
        return int(Decimal(text) * MICROS_PER_DOLLAR)
    raise invalid(
        "the amount is invalid: expected US dollars with at most six decimals, below a billion, or none",
        "amount",
        "write it as 50 or 0.25",
    )


def format_dollars(micros: int) -> str:
    """Micro-dollars as dollars, with six digits after the point."""
    return f"{micros // MICROS_PER_DOLLAR}.{micros % MICROS_PER_DOLLAR:06d}"


def _amount(micros: int | None) -> str:
    return NO_LIMIT if micros is None else format_dollars(micros)
