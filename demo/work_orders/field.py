"""What the work-order service knows: the synthetic oil field's open work orders and technicians, and dispatch rules.

The field's data has no durations, windows, shares of revenue or probabilities: `dispatch.yaml` has them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from demo.oil_field.warehouse import BASINS_BY_ROLE, read_table

OPEN = ("open", "in_progress")


@cache
def dispatch_rules() -> dict[str, Any]:
    """The rules of `dispatch.yaml`."""
    rules: dict[str, Any] = yaml.safe_load((files("demo") / "data" / "dispatch.yaml").read_text(encoding="utf-8"))
    return rules


def areas_of(roles: Sequence[str]) -> frozenset[str]:
    """The basins that a user with these roles may see."""
    everywhere = {row["BASIN"] for row in read_table("WELLS")}
    known = [BASINS_BY_ROLE[role] for role in roles if role in BASINS_BY_ROLE]
    return frozenset(basin for basins in known for basin in basins or everywhere)


@cache
def _open_orders() -> tuple[dict[str, Any], ...]:
    return tuple(_orders())


def open_orders(areas: frozenset[str]) -> list[dict[str, Any]]:
    """The open work orders of these basins."""
    return [order for order in _open_orders() if order["area"] in areas]


def _orders() -> Iterator[dict[str, Any]]:
    rules, wells = dispatch_rules(), {row["API_NUMBER"]: row for row in read_table("WELLS")}
    rates, shares = _last_rates(), rules["net_interest"]
    for row in read_table("WORK_ORDERS"):
        if row["STATUS"] not in OPEN:
            continue
        well, kind = wells[row["API_NUMBER"]], rules["work_types"][row["WORK_TYPE"]]
        down = bool(row["DOWNTIME_ID"])
        skills = [*kind["skills"], *(["h2s"] if well["COUNTY"] in rules["h2s_counties"] else [])]
        inspection = row["WORK_TYPE"] == "site_inspection"
        must = row["PRIORITY"] == "emergency" or inspection
        yield {
            "id": row["WORK_ORDER_ID"],
            "well": well["WELL_NAME"],
            "api_number": row["API_NUMBER"],
            "area": well["BASIN"],
            "county": well["COUNTY"],
            "latitude": float(well["LATITUDE"]),
            "longitude": float(well["LONGITUDE"]),
            "work_type": row["WORK_TYPE"],
            "skills": skills,
            "minutes": kind["minutes"],
            "opens": kind["opens"],
            "closes": kind["closes"],
            "must_visit_by": row["DUE_ON"] if must else None,
            "must_reason": "regulatory inspection" if inspection else "safety" if must else "",
            "risk": {
                "rate_bbl_per_day": rates.get(row["API_NUMBER"], 0.0),
                "price_usd_per_bbl": rules["oil_price_usd_per_bbl"],
                "net_interest": shares[int(row["API_NUMBER"][-2:]) % len(shares)],
                "probability": 1.0 if down else kind["probability"],
            },
        }


def technicians(areas: frozenset[str], day: date) -> list[dict[str, Any]]:
    """The technicians of these basins, with their shifts; each is off duty on one day in seven."""
    rules, found = dispatch_rules(), []
    for row in read_table("TECHNICIANS"):
        number = int(row["TECHNICIAN_ID"].removeprefix("T-"))
        base, shift = rules["bases"][row["BASE"]], rules["shifts"][number % len(rules["shifts"])]
        if row["REGION"] in areas:
            found.append(
                {
                    "id": row["TECHNICIAN_ID"],
                    "name": row["NAME"],
                    "base": row["BASE"],
                    "area": row["REGION"],
                    "latitude": base[0],
                    "longitude": base[1],
                    "skills": [*row["SKILLS"].split(","), *(["h2s"] if row["H2S_CERTIFIED"] == "True" else [])],
                    "shift_starts": shift[0],
                    "shift_ends": shift[1],
                    "on_duty": (number + day.toordinal()) % 7 != 0,
                }
            )
    return found


def _last_rates() -> dict[str, float]:
    """Oil per day on production in each well's last month with any, in bbl/d."""
    rates: dict[str, float] = {}
    for row in sorted(read_table("MONTHLY_PRODUCTION"), key=lambda each: each["PRODUCTION_MONTH"]):
        if float(row["DAYS_ON"]) > 0:
            rates[row["API_NUMBER"]] = round(float(row["OIL_BBL"]) / float(row["DAYS_ON"]), 2)
    return rates


def as_json(value: object) -> bytes:
    """A body."""
    return json.dumps(value, separators=(",", ":")).encode()
