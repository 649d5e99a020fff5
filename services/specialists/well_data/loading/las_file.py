"""LAS 1.2 and 2.0 logs, by lasio. Broken headers are repaired and said; unclear depths or wells are refused."""

from __future__ import annotations

import io
import logging
import math
import warnings
from itertools import pairwise
from typing import Any

from services.specialists.well_data.loading.records import FileRefused, ParsedFile
from services.specialists.well_data.well_numbers import WellNumber, is_well_number, parse_well_number

FEET_PER_METRE = 1 / 0.3048
MAX_LAS_BYTES = 50_000_000
MAX_SAMPLES = 200_000
MAX_CURVES = 200
MAX_DEPTH_FT = 50_000.0
_FEET, _METRES = frozenset({"F", "FT", "FEET", "FOOT"}), frozenset({"M", "METER", "METERS", "METRE", "METRES"})
_NUMBER_ITEMS = ("UWI", "API", "APIN")
_NULLS = (-999.0, -999.25, -9999.0, -9999.25, -99999.0)
"""Nulls that files use beside the one of their header."""


def parse_las(data: bytes) -> ParsedFile:
    """The curves of a LAS file. Raises `FileRefused`."""
    import lasio

    if len(data) > MAX_LAS_BYTES:
        raise FileRefused(f"the file is larger than {MAX_LAS_BYTES:,} bytes: split it by interval")
    text = data.decode("utf-8", errors="replace").lstrip("\ufeff")
    if "~" not in text or "\x00" in text:
        raise FileRefused("the file is no LAS file: it has no section that begins with ~")
    logging.getLogger("lasio").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            las = lasio.read(io.StringIO(text), ignore_header_errors=True)
    except Exception as error:  # noqa: BLE001 - lasio raises what its parsing meets: KeyError, IndexError, its own
        raise FileRefused(f"lasio cannot read the file ({type(error).__name__}): export it as LAS 2.0") from None
    parsed = ParsedFile("log")
    number = _well_number(las)
    depths = _depths(las, parsed)
    null = _declared_null(las)
    for curve in las.curves[1:]:
        record = _record(number, curve, depths, null, parsed)
        if record is not None:
            parsed.records.append(record)
    if not parsed.records:
        raise FileRefused("the file has no curve with a number in it")
    return parsed


def _well_number(las: Any) -> WellNumber:
    given = [str(item.value).strip() for item in las.well if item.original_mnemonic.upper() in _NUMBER_ITEMS]
    numbers = {parse_well_number(text) for text in given if is_well_number(text)}
    if not numbers:
        raise FileRefused("~Well names no API number in UWI or API: expected 10, 12 or 14 digits")
    if len({number.wellbore for number in numbers}) > 1:
        raise FileRefused(f"~Well names two wellbores: {', '.join(sorted(map(str, numbers)))}")
    return max(numbers)


def _depths(las: Any, parsed: ParsedFile) -> list[float]:
    if not las.curves:
        raise FileRefused("~Curve names no curve")
    index = las.curves[0]
    unit = str(index.unit).strip().upper().rstrip(".")
    if unit not in _FEET | _METRES:
        declared = {str(las.well[name].unit).strip().upper() for name in ("STRT", "STOP") if name in las.well}
        known = declared & (_FEET | _METRES)
        if len(known) != 1:
            raise FileRefused(f"the unit of {index.mnemonic} is {unit[:20]!r}: expected F, FT or M")
        unit = known.pop()
        parsed.notes.append(f"the depth's unit is taken from STRT: {unit}")
    try:
        values = [float(value) for value in index.data]
    except (TypeError, ValueError):
        raise FileRefused(f"{index.mnemonic} has values that are not numbers") from None
    if not values or len(values) > MAX_SAMPLES:
        raise FileRefused(f"the file has {len(values):,} samples: expected 1 to {MAX_SAMPLES:,}")
    factor = FEET_PER_METRE if unit in _METRES else 1.0
    depths = [value * factor for value in values]
    if any(not math.isfinite(depth) or not 0 <= depth <= MAX_DEPTH_FT for depth in depths):
        raise FileRefused(f"{index.mnemonic} has a depth that is null, negative or below {MAX_DEPTH_FT:,.0f} ft")
    steps = [after - before for before, after in pairwise(depths)]
    if not all(step > 0 for step in steps) and not all(step < 0 for step in steps):
        raise FileRefused(
            f"the depths of {index.mnemonic} neither rise nor fall throughout: the log has several passes"
        )
    if factor != 1.0:
        parsed.notes.append("depths are converted from m to ft")
    _compare_with_header(las, values, parsed)
    return depths


def _compare_with_header(las: Any, values: list[float], parsed: ParsedFile) -> None:
    for name, found in (("STRT", values[0]), ("STOP", values[-1])):
        try:
            declared = float(las.well[name].value)
        except (KeyError, TypeError, ValueError):
            parsed.notes.append(f"~Well has no number for {name}")
            continue
        if abs(declared - found) > 0.51:
            parsed.notes.append(f"{name} says {declared:g}, the data {found:g}: the data count")


def _declared_null(las: Any) -> float | None:
    try:
        return float(las.well["NULL"].value)
    except (KeyError, TypeError, ValueError):
        return None


def _record(
    number: WellNumber, curve: Any, depths: list[float], null: float | None, parsed: ParsedFile
) -> dict[str, Any] | None:
    mnemonic = str(curve.mnemonic).strip().upper()[:30]
    if len(parsed.records) >= MAX_CURVES:
        parsed.notes.append(f"{mnemonic}: left out, the file has more than {MAX_CURVES} curves")
        return None
    nulls = {*_NULLS, *([] if null is None else [null])}
    samples: list[float | None] = []
    for value in curve.data:
        try:
            number_of = float(value)
        except (TypeError, ValueError):
            parsed.notes.append(f"{mnemonic}: left out, it has values that are not numbers")
            return None
        samples.append(None if not math.isfinite(number_of) or number_of in nulls else number_of)
    if len(samples) != len(depths) or all(sample is None for sample in samples):
        parsed.notes.append(f"{mnemonic}: left out, it has no values")
        return None
    pairs = sorted(zip(depths, samples, strict=True), key=lambda pair: pair[0])
    return {
        "api": number.well,
        "wellbore": number.wellbore,
        "mnemonic": mnemonic,
        "unit": str(curve.unit).strip()[:20],
        "description": str(curve.descr).strip()[:200],
        "depths_ft": [depth for depth, _ in pairs],
        "samples": [sample for _, sample in pairs],
    }
