"""Makes the whole data set from a seed, as rows in the order of the schema's columns, and writes it as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from demo.oil_field.crews import Technician, WorkOrder, make_technicians, make_work_orders
from demo.oil_field.downtime import Downtime, make_downtime
from demo.oil_field.production import MonthlyProduction, make_production
from demo.oil_field.wells import Well, make_wells

SYNTHETIC_LABEL = "SYNTHETIC"
WAREHOUSE_SEED = 20260630
Cell = str | float | int | bool | date | datetime | None
TableRow = tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class OilField:
    """Everything that was made, as objects that refer to one another."""

    wells: list[Well]
    downtime: list[Downtime]
    production: list[MonthlyProduction]
    technicians: list[Technician]
    work_orders: list[WorkOrder]

    def tables(self) -> dict[str, Iterator[TableRow]]:
        """Rows by table name; the columns are in the order of the schema file."""
        return {
            "WELLS": map(_well, self.wells),
            "MONTHLY_PRODUCTION": map(_month, self.production),
            "DOWNTIME": map(_downtime, self.downtime),
            "WORK_ORDERS": map(_work_order, self.work_orders),
            "TECHNICIANS": map(_technician, self.technicians),
        }


def generate_oil_field(seed: int = WAREHOUSE_SEED) -> OilField:
    """The oil field of a seed: the same seed gives the same rows."""
    wells = make_wells(seed)
    downtime = make_downtime(seed, wells)
    technicians = make_technicians(seed)
    return OilField(
        wells=wells,
        downtime=downtime,
        production=make_production(seed, wells, downtime),
        technicians=technicians,
        work_orders=make_work_orders(seed, wells, downtime, technicians),
    )


def write_csv(field: OilField, folder: Path, columns: dict[str, list[str]]) -> None:
    """One CSV file a table, with a header; `columns` are the names by table."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in field.tables().items():
        with (folder / f"{name.lower()}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns[name])
            writer.writerows(rows)


def _well(well: Well) -> TableRow:
    area = well.area
    return (
        *(well.api_number, well.name, area.basin, area.field, area.formation, area.county, area.state, area.operator),
        *(
            well.latitude,
            well.longitude,
            well.spud,
            well.first_production,
            well.status,
            well.lift,
            well.lateral_ft,
            SYNTHETIC_LABEL,
        ),
    )


def _month(row: MonthlyProduction) -> TableRow:
    return row.well.api_number, row.month, row.oil, row.gas, row.water, row.days, SYNTHETIC_LABEL


def _downtime(event: Downtime) -> TableRow:
    return (
        *(event.id, event.well.api_number, event.started, event.ended, event.hours, event.cause),
        *(event.deferred_oil, SYNTHETIC_LABEL),
    )


def _work_order(order: WorkOrder) -> TableRow:
    return (
        *(order.id, order.well.api_number, order.downtime.id if order.downtime else None),
        *(order.technician.id if order.technician else None, order.type, order.priority, order.status),
        *(order.opened, order.due, order.completed, order.hours, SYNTHETIC_LABEL),
    )


def _technician(person: Technician) -> TableRow:
    skills = ",".join(person.skills)
    return (
        person.id,
        person.name,
        person.base,
        person.region,
        skills,
        person.h2s_certified,
        person.hired,
        SYNTHETIC_LABEL,
    )
