"""Which rows a role may see. In Snowflake these are row-access policies; locally each role has views of its own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WarehouseRole:
    """A warehouse role: the basins whose rows it sees, or all."""

    name: str
    basins: tuple[str, ...] = ()

    @property
    def namespace(self) -> str:
        """The schema that holds its views. It is an implementation detail of the stand-in."""
        return f"SEEN_BY_{self.name}"

    def condition(self, table: str) -> str:
        """The SQL condition on a row of the table."""
        if not self.basins:
            return "TRUE"
        basins = ", ".join(f"'{basin}'" for basin in self.basins)
        if table == "TECHNICIANS":
            return f"REGION IN ({basins})"
        if table == "WELLS":
            return f"BASIN IN ({basins})"
        return f"API_NUMBER IN (SELECT API_NUMBER FROM PROD.WELLS WHERE BASIN IN ({basins}))"  # noqa: S608 - constants


WAREHOUSE_ROLES = {
    role.name: role
    for role in (
        WarehouseRole("FIELD_ALL"),
        WarehouseRole("FIELD_PERMIAN", ("Permian",)),
        WarehouseRole("FIELD_EAGLE_FORD", ("Eagle Ford",)),
        WarehouseRole("FIELD_WILLISTON", ("Williston",)),
        WarehouseRole("FIELD_MIDCON", ("DJ", "Anadarko")),
    )
}
