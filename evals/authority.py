"""Whether rows belong to what a role may see, judged by the generated data itself and not by the views under test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from demo.oil_field.generate import OilField
from demo.oil_field.roles import WAREHOUSE_ROLES

IdentifierValue = str | int | bool | None


class RowAccessChecker:
    """Knows the basin of every identifier in the data."""

    def __init__(self, field: OilField) -> None:
        self._basin = {area: area for area in {well.area.basin for well in field.wells}}
        self._basin |= {well.api_number: well.area.basin for well in field.wells}
        self._basin |= {person.id: person.region for person in field.technicians}
        self._basin |= {event.id: event.well.area.basin for event in field.downtime}
        self._basin |= {order.id: order.well.area.basin for order in field.work_orders}

    def unauthorised(self, rows: Iterable[Sequence[IdentifierValue]], role: str) -> int:
        """How many rows name something outside the role's basins."""
        allowed = WAREHOUSE_ROLES[role].basins
        if not allowed:
            return 0
        return sum(any(self._foreign(value, allowed) for value in row) for row in rows)

    def _foreign(self, value: IdentifierValue, allowed: tuple[str, ...]) -> bool:
        basin = self._basin.get(value) if isinstance(value, str) else None
        return basin is not None and basin not in allowed
