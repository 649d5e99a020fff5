"""A rule pack: dated, whole, and never edited once it was released."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts.documents import disclosures
from services.specialists.compliance.pack import (
    PACKS,
    PACKS_FOLDER,
    PackError,
    load_pack,
    pack_in_force,
    released_packs,
)

SOURCE = (PACKS_FOLDER / PACKS[-1]).read_text(encoding="utf-8")


def written(folder: Path, source: str) -> Path:
    """A pack's file."""
    path = folder / "pack.toml"
    path.write_text(source, encoding="utf-8")
    return path


def test_released_packs_match_their_recorded_checksums() -> None:
    sums = [line.split() for line in (PACKS_FOLDER / "SHA256SUMS").read_text().splitlines()]
    assert sums == [[hashlib.sha256((PACKS_FOLDER / name).read_bytes()).hexdigest(), name] for name in PACKS]
    assert [pack.version for pack in released_packs()] == [name.removesuffix(".toml") for name in PACKS]


def test_latest_pack_whose_day_has_come_is_in_force() -> None:
    first = released_packs()[0]
    later = first.model_copy(update={"version": "2027-01-01", "effective_from": datetime(2027, 1, 1).date()})
    for moment, version in (("2026-12-31T23:59:59+00:00", first.version), ("2027-01-01T00:00:00+00:00", "2027-01-01")):
        assert pack_in_force((later, first), datetime.fromisoformat(moment)).version == version


def test_moment_before_the_first_pack_is_an_error() -> None:
    with pytest.raises(PackError, match="no rule pack is in force on 2025-12-31"):
        pack_in_force(released_packs(), datetime(2025, 12, 31, 23, tzinfo=UTC))


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("weight = 30", "weight = 31", "weights should add up to 100"),
        ("floor = 80", "floor = 79", "floor of accuracy"),
        ('name = "readable"', 'name = "readability"', "should have exactly accuracy"),
        ("[lexicon.fee]", "[lexicon.fees]", "lexicon: fee is missing"),
        (
            f'disclosures = "{disclosures.DISCLOSURES_VERSION}"',
            'disclosures = "1999-1"',
            "contracts/documents/disclosures.py",
        ),
        ("min_days = 38", "min_days = 30", "validation.min_days"),
        ("years = 3", "years = 2", "record.years"),
        ("min_notice_days = 35", "min_notice_days = 34", "address.min_notice_days"),
        ("max_contacts = 3", "max_contacts = 3\nmax_calls = 7", "new_york_city.max_calls"),
        ('earliest = "08:00"', 'earliest = "8 am"', "timing.earliest"),
        ("[timing]", "[timing", "pack.toml"),
    ],
)  # fmt: skip
def test_invalid_pack_is_refused_and_names_the_field(tmp_path: Path, old: str, new: str, named: str) -> None:
    assert old in SOURCE
    with pytest.raises(PackError, match=named):
        load_pack(written(tmp_path, SOURCE.replace(old, new, 1)))
