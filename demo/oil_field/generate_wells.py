"""Makes the well-data files beside the oil field's tables: `python -m demo.oil_field.generate_wells`.

Headers with pads, leases and completions; meters of Texas leases; surveys; LAS logs. All SYNTHETIC, from one seed.
"""

from __future__ import annotations

import csv
import gzip
import io
import random
from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path

from demo.oil_field.warehouse import read_table

SEED = 20_260_630
WELLS_FOLDER = Path(__file__).parent / "wells"
WELLS_PER_PAD = 4
METERED_FROM = "2025-01-01"
BIASED_LEASE = 3
"""The third lease's meter reads 6 % more than its wells were given."""
SURVEYED = {"05-123-90001-00": 7_000, "30-025-90050-00": 8_200, "30-025-90050-01": 8_600, "42-389-90215-00": 8_900}
"""Wellbores with a survey, and the depth in ft where each leaves the vertical; 30-025-90050 has a sidetrack."""
METRIC_SURVEY = "33-053-90080-00"
LOGGED = {"05-123-90001": "F", "30-025-90050": "F", "33-053-90080": "M"}
FEET_PER_METRE = 1 / 0.3048


def main() -> None:
    """Write the files."""
    chance = random.Random(SEED)  # noqa: S311 - synthetic data
    WELLS_FOLDER.mkdir(exist_ok=True)
    wells = read_table("wells")
    headers = make_headers(wells, chance)
    _write("headers.csv.gz", headers)
    _write("lease_meters.csv.gz", make_meters(headers, chance))
    _write("surveys.csv.gz", [row for bore, kick in SURVEYED.items() for row in make_survey(bore, kick, chance)])
    metric = make_survey(METRIC_SURVEY, 9_800, chance)
    for row in metric:
        row["MD_M"] = f"{float(row.pop('MD_FT')) / FEET_PER_METRE:.2f}"
    _write("survey_metric.csv.gz", metric)
    for api, unit in LOGGED.items():
        (WELLS_FOLDER / f"{api}.las").write_text(make_las(api, unit, chance), encoding="utf-8")


def make_headers(wells: list[dict[str, str]], chance: random.Random) -> list[dict[str, str]]:
    """The headers: wells of one field share pads of four, and in Texas a lease per pad."""
    count: dict[str, int] = defaultdict(int)
    leases: dict[str, str] = {}
    rows = []
    for well in wells:
        number = count[well["FIELD"]] // WELLS_PER_PAD + 1
        count[well["FIELD"]] += 1
        pad = f"{well['FIELD']} {number}"
        texas = well["STATE"] == "TX"
        if texas and pad not in leases:
            leases[pad] = f"08-{40_001 + len(leases)}"
        row = {name: value for name, value in well.items() if name != "DATA_LABEL"}
        row |= {"PAD": pad, "LEASE_ID": leases.get(pad, "")}
        lateral = float(well["LATERAL_LENGTH_FT"])
        done = well["FIRST_PRODUCTION_DATE"]
        top = chance.randrange(7_800, 11_800, 10)
        loading = chance.randrange(1_600, 2_500, 50)
        row |= {
            "COMPLETION_DATE": f"{date.fromisoformat(done) - timedelta(days=21)}" if done else "",
            "PERFORATED_TOP_FT": f"{top}" if done else "",
            "PERFORATED_BASE_FT": f"{top + lateral:.0f}" if done else "",
            "STAGES": f"{lateral // 200:.0f}" if done else "",
            "PROPPANT_LB": f"{lateral * loading:.0f}" if done else "",
            "DATA_LABEL": well["DATA_LABEL"],
        }
        rows.append(row)
    return rows


def make_meters(headers: list[dict[str, str]], chance: random.Random) -> list[dict[str, str]]:
    """What the meters of the Texas leases read: the wells' sum within about one percent."""
    lease_of = {row["API_NUMBER"]: row["LEASE_ID"] for row in headers if row["LEASE_ID"]}
    totals: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for row in read_table("monthly_production"):
        lease = lease_of.get(row["API_NUMBER"])
        if lease and row["PRODUCTION_MONTH"] >= METERED_FROM:
            for at, name in enumerate(("OIL_BBL", "GAS_MCF", "WATER_BBL")):
                totals[lease, row["PRODUCTION_MONTH"]][at] += float(row[name])
    biased = sorted(set(lease_of.values()))[BIASED_LEASE - 1]
    rows = []
    for (lease, month), volumes in sorted(totals.items()):
        factor = 1.06 if lease == biased else 1.0
        metered = [volume * factor * (1 + chance.gauss(0, 0.008)) for volume in volumes]
        oil, gas, water = (f"{volume:.2f}" for volume in metered)
        rows.append({"LEASE_ID": lease, "PRODUCTION_MONTH": month, "OIL_BBL": oil, "GAS_MCF": gas, "WATER_BBL": water})
    return rows


def make_survey(bore: str, kick_off: int, chance: random.Random) -> list[dict[str, str]]:
    """A build of ten degrees per 100 ft to horizontal, and a lateral, with a little wander."""
    azimuth = chance.randrange(150, 200)
    rows = []
    for depth in range(0, kick_off + 5_000, 100):
        inclination = min(90.0, max(0.0, (depth - kick_off) / 10))
        wander = chance.uniform(-0.8, 0.8)
        # The builds are straight and smooth; the lateral wanders.
        shown = inclination + (wander if inclination >= 90 else abs(wander) / 4 if depth else 0.0)
        rows.append(
            {
                "API_NUMBER": bore,
                "MD_FT": f"{depth}",
                "INCLINATION": f"{shown:.2f}",
                "AZIMUTH": f"{azimuth + wander * 2:.2f}",
            }
        )
    return rows


def make_las(api: str, unit: str, chance: random.Random) -> str:
    """A log of 200 ft: gamma ray, deep resistivity, density with a few nulls."""
    top, step, count = (8_000.0, 0.5, 401) if unit == "F" else (2_900.0, 0.1524, 401)
    gamma, lines = 70.0, []
    for at in range(count):
        gamma = min(180.0, max(15.0, gamma + chance.gauss(0, 6)))
        resistivity = 10 ** (1.6 - gamma / 120 + chance.gauss(0, 0.05))
        density = 2.45 + gamma / 2_000 + chance.gauss(0, 0.01) if at % 97 else -999.25
        lines.append(f"{top + at * step:10.4f} {gamma:10.4f} {resistivity:10.4f} {density:10.4f}")
    stop = top + (count - 1) * step
    return "\n".join(
        (
            "~Version", "VERS.   2.0 : CWLS LOG ASCII STANDARD - VERSION 2.0", "WRAP.    NO : ONE LINE PER DEPTH STEP",
            "~Well", f"STRT.{unit}  {top:.4f} :", f"STOP.{unit}  {stop:.4f} :", f"STEP.{unit}  {step:.4f} :",
            "NULL.  -999.25 :", "COMP.  SYNTHETIC :", f"UWI .  {api} : API NUMBER",
            "~Curve", f"DEPT.{unit}   : MEASURED DEPTH", "GR  .GAPI : GAMMA RAY", "RT  .OHMM : DEEP RESISTIVITY",
            "RHOB.G/C3 : BULK DENSITY", "~ASCII", *lines, "",
        )
    )  # fmt: skip


def _write(name: str, rows: list[dict[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    # Without a name and a time inside, the same rows make the same bytes.
    (WELLS_FOLDER / name).write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))


if __name__ == "__main__":
    main()
