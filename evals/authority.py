"""Whether rows belong to what a role may see, judged by the data itself and not by the views under test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from demo.oil_field.warehouse import BASINS_BY_ROLE, read_table

IdentifierValue = str | int | bool | None


class RowAccessChecker:
    """Knows the basin of every identifier in the data."""

    def __init__(self) -> None:
        by_well = {row["API_NUMBER"]: row["BASIN"] for row in read_table("WELLS")}
        self._basin = by_well | {basin: basin for basin in by_well.values()}
        self._basin |= {row["TECHNICIAN_ID"]: row["REGION"] for row in read_table("TECHNICIANS")}
        self._basin |= {row["DOWNTIME_ID"]: by_well[row["API_NUMBER"]] for row in read_table("DOWNTIME")}
        self._basin |= {row["WORK_ORDER_ID"]: by_well[row["API_NUMBER"]] for row in read_table("WORK_ORDERS")}

    def unauthorised(self, rows: Iterable[Sequence[IdentifierValue]], role: str) -> int:
        """How many rows name something outside the role's basins."""
        allowed = BASINS_BY_ROLE[role]
        if not allowed:
            return 0
        return sum(any(self._foreign(value, allowed) for value in row) for row in rows)

    def _foreign(self, value: IdentifierValue, allowed: tuple[str, ...]) -> bool:
        basin = self._basin.get(value) if isinstance(value, str) else None
        return basin is not None and basin not in allowed
