"""A rule pack: dated, whole, and never edited once it was released."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts.documents.wording import SHIPPED
from services.specialists.compliance.pack import (
    PACKS_FOLDER,
    PackError,
    load_pack,
    pack_in_force,
    packs_for,
    released_packs,
)

SOURCE = (PACKS_FOLDER / "2026-01-01.toml").read_text(encoding="utf-8")


def written(folder: Path, source: str) -> Path:
    """A pack's file."""
    path = folder / "pack.toml"
    path.write_text(source, encoding="utf-8")
    return path


def test_released_packs_match_their_recorded_checksums() -> None:
    sums = [line.split() for line in (PACKS_FOLDER / "SHA256SUMS").read_text().splitlines()]
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in PACKS_FOLDER.glob("*.toml")}
    assert {name: digest for digest, name in sums} == files
    assert sorted(pack.version for pack in released_packs()) == sorted(name.removesuffix(".toml") for name in files)


def release(folder: Path, *changes: tuple[str, str]) -> None:
    """Packs in a folder of one's own, each the first one with something changed."""
    for at, (old, new) in enumerate(changes):
        assert old in SOURCE
        text = SOURCE.replace('version = "2026-01-01"', f'version = "own-{at}"').replace(old, new)
        (folder / f"{at}.toml").write_text(text, encoding="utf-8")
    sums = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in sorted(folder.glob("*.toml")))
    (folder / "SHA256SUMS").write_text("\n".join(sums) + "\n", encoding="utf-8")


def test_tenant_with_an_own_pack_is_under_it_from_its_day_on(tmp_path: Path) -> None:
    day = "effective_from = 2026-01-01"
    release(
        tmp_path,
        (day, day),
        (day, 'tenants = ["acme"]\neffective_from = 2026-03-01'),
        (day, day.replace("01-01", "05-01")),
    )
    packs = released_packs(tmp_path)
    for tenant, moment, version in (
        ("acme", "2026-02-28T00:00:00+00:00", "own-0"),
        ("acme", "2026-03-01T00:00:00+00:00", "own-1"),
        ("acme", "2026-06-01T00:00:00+00:00", "own-1"),
        ("other", "2026-04-01T00:00:00+00:00", "own-0"),
        ("other", "2026-06-01T00:00:00+00:00", "own-2"),
    ):
        assert pack_in_force(packs_for(packs, tenant), datetime.fromisoformat(moment)).version == version


def test_released_pack_that_was_edited_is_refused(tmp_path: Path) -> None:
    release(tmp_path, ("latest = ", "latest = "))
    file = tmp_path / "0.toml"
    file.write_text(
        file.read_text(encoding="utf-8").replace("max_age_hours = 120", "max_age_hours = 900"), encoding="utf-8"
    )
    with pytest.raises(PackError, match=r"0\.toml is not what was released"):
        released_packs(tmp_path)


def test_folder_without_a_released_pack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="cannot be read"):
        released_packs(tmp_path)
    (tmp_path / "SHA256SUMS").write_text("", encoding="utf-8")
    with pytest.raises(PackError, match="lists no pack"):
        released_packs(tmp_path / ".")


def test_latest_pack_whose_day_has_come_is_in_force() -> None:
    first = released_packs()[0]
    later = first.model_copy(update={"version": "later", "effective_from": datetime(2027, 1, 1).date()})
    for moment, version in (("2026-12-31T23:59:59+00:00", first.version), ("2027-01-01T00:00:00+00:00", "later")):
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
            f'disclosures = "{SHIPPED.version}"',
            'disclosures = "1999-1"',
            "the wording in force has the version 2026-1",
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


@pytest.mark.parametrize(
    "term", ["Garnish", "COURT", "cøurt", "law-suit", "*", "", " sue", "sue ", "a||b", "sue  you", "*sue"]
)
def test_pack_with_a_term_that_no_text_could_match_is_refused(tmp_path: Path, term: str) -> None:
    path = written(tmp_path, SOURCE.replace('"litigious"', json.dumps(term, ensure_ascii=False)))
    with pytest.raises(PackError, match="lexicon"):
        load_pack(path)


@pytest.mark.parametrize("opening", ["[", "{a=", "[{a="])
def test_pack_that_nests_without_end_is_refused(tmp_path: Path, opening: str) -> None:
    with pytest.raises(PackError, match="pack"):
        load_pack(written(tmp_path, "x = " + opening * 5_000))
