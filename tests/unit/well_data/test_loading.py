"""Files as they come: what is loaded, what is refused by line, and what makes a whole file unusable."""

from __future__ import annotations

import gzip
from datetime import date

import pytest

from services.specialists.well_data.loading.csv_file import parse_csv
from services.specialists.well_data.loading.las_file import parse_las
from services.specialists.well_data.loading.records import FileRefused, ParsedFile
from services.specialists.well_data.well_numbers import parse_well_number

HEADER = "API_NUMBER,PRODUCTION_MONTH,OIL_BBL,GAS_MCF,WATER_BBL,DAYS_ON"


def csv_of(*lines: str) -> bytes:
    return "\n".join(lines).encode()


def production(*lines: str, header: str = HEADER) -> ParsedFile:
    return parse_csv(csv_of(header, *lines))


def test_production_is_read_with_its_lines() -> None:
    found = production("30-015-90001,2025-01,310.5,900,20,31", "30-015-90001,2025-02-01,280,,15,28")
    assert [(each["month"], each["oil_bbl"], each["gas_mcf"], each["line"]) for each in found.records] == [
        (date(2025, 1, 1), 310.5, 900.0, 2),
        (date(2025, 2, 1), 280.0, None, 3),
    ]
    assert found.refused == []


@pytest.mark.parametrize(
    ("line", "field", "reason"),
    [
        ("30-015-9001,2025-01,1,1,1,1", "API_NUMBER", "no API number"),
        ("30-015-90001,2025-13,1,1,1,1", "PRODUCTION_MONTH", "expected YYYY-MM-DD"),
        ("30-015-90001,0025-01-01,1,1,1,1", "PRODUCTION_MONTH", "year from 1900"),
        ("30-015-90001,2025-01,-1,1,1,1", "OIL_BBL", "at least 0"),
        ("30-015-90001,2025-01,nan,1,1,1", "OIL_BBL", "expected a number"),
        ("30-015-90001,2025-01,1e400,1,1,1", "OIL_BBL", "at least 0"),
        ("30-015-90001,2025-01,three,1,1,1", "OIL_BBL", "expected a number"),
        ("30-015-90001,2025-02,1,1,1,29", "DAYS_ON", "the month has 28 days"),
        ("30-015-90001,2025-01,,,,31", "", "no volume at all"),
        ("30-015-90001,2025-01,1,99000000,1,31", "GAS_MCF", "check the unit of the column"),
        ("30-015-90001,2025-01,1,1,1", "", "has 5 fields"),
    ],
)
def test_bad_line_is_refused_by_field_and_the_rest_is_loaded(line: str, field: str, reason: str) -> None:
    found = production(line, "30-015-90001,2025-03,1,1,1,31")
    assert [(each.line, each.field) for each in found.refused] == [(2, field)]
    assert reason in found.refused[0].reason
    assert [each["line"] for each in found.records] == [3]


def test_repeated_month_of_a_well_is_refused_and_a_sidetrack_is_another_wellbore() -> None:
    found = production(
        "30-015-90001,2025-01,1,1,1,31", "3001590001,2025-01-15,2,1,1,31", "30-015-90001-01-00,2025-01,3,1,1,31"
    )
    assert [(each.line, each.reason) for each in found.refused] == [(3, "repeats line 2")]
    assert [each["completion"] for each in found.records] == ["", "01-00"]


def test_volumes_in_cubic_metres_are_converted() -> None:
    found = production("30-015-90001,2025-01,100,2", header="API_NUMBER,PRODUCTION_MONTH,OIL_M3,GAS_E3M3")
    assert found.records[0]["oil_bbl"] == pytest.approx(628.981, abs=1e-3)
    assert found.records[0]["gas_mcf"] == pytest.approx(70.629, abs=1e-3)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("API_NUMBER,PRODUCTION_MONTH,OIL", "has no unit: name it OIL_BBL or OIL_M3"),
        ("API_NUMBER,PRODUCTION_MONTH,OIL_BBL,OIL_M3", "one quantity in two units"),
        ("API_NUMBER,PRODUCTION_MONTH,OIL_BBL,OIL_BBL", "repeats OIL_BBL"),
        ("WELL,MONTH,OIL_BBL", "no known kind of file"),
        ("", "no known kind of file"),
    ],
)
def test_file_with_an_unclear_header_is_refused_whole(header: str, reason: str) -> None:
    with pytest.raises(FileRefused, match=reason):
        production("30-015-90001,2025-01,1", header=header)


@pytest.mark.parametrize(
    ("api", "basis", "expected"),
    [("42-329-90001", "", "allocated"), ("42-329-90001", "measured", "measured"), ("30-015-90001", "", "reported")],
)
def test_texas_volume_is_allocated_unless_the_file_says_measured(api: str, basis: str, expected: str) -> None:
    found = production(f"{api},2025-01,1,{basis}", header="API_NUMBER,PRODUCTION_MONTH,OIL_BBL,BASIS")
    assert found.records[0]["basis"] == expected


def test_lease_file_has_no_wells() -> None:
    found = parse_csv(csv_of("LEASE_ID,PRODUCTION_MONTH,OIL_BBL", "08-40001,2025-01,900", ",2025-02,900"))
    assert (found.kind, len(found.records)) == ("lease_meters", 1)
    assert (found.refused[0].field, found.refused[0].reason) == ("LEASE_ID", "is missing")


def test_survey_in_metres_is_converted_and_kept_by_wellbore() -> None:
    header = "API_NUMBER,MD_M,INCLINATION,AZIMUTH"
    found = parse_csv(csv_of(header, "30-015-90001-01,100,1.5,359", "30-015-90001,100,181,0", "30-015-90001,,1,0"))
    assert found.records[0]["md_ft"] == pytest.approx(328.084, abs=1e-3)
    assert found.records[0]["wellbore"] == "30-015-90001-01"
    assert [each.field for each in found.refused] == ["INCLINATION", "MD_FT"]


@pytest.mark.parametrize(
    "data",
    [gzip.compress(b"API_NUMBER", mtime=0)[:-4], b"\xff\xfeAPI", b"\x1f\x8bno gzip"],
    ids=["cut", "UTF-16", "no gzip"],
)
def test_damaged_file_is_refused_without_a_traceback(data: bytes) -> None:
    with pytest.raises(FileRefused):
        parse_csv(data)


def test_quote_that_is_never_closed_refuses_its_line() -> None:
    found = parse_csv(b'API_NUMBER,WELL_NAME,BASIN\n30-015-90001,"x')
    assert found.records == []
    assert found.refused


@pytest.mark.parametrize("text", ["42-329-9021", "42329902101", "42-329-90210-0", "4२-329-90210", "", "42-329-90210x"])
def test_well_number_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="10, 12 or 14 digits"):
        parse_well_number(text)


LAS = """~Version
VERS. 2.0 : CWLS LOG ASCII STANDARD - VERSION 2.0
WRAP. NO  : ONE LINE PER DEPTH STEP
~Well
STRT.F 8000.0 :
STOP.F 8001.0 :
STEP.F    0.5 :
NULL. -999.25 :
UWI .  30-015-90001 : API NUMBER
~Curve
DEPT.F    : DEPTH
GR  .GAPI : GAMMA RAY
RT  .OHMM : RESISTIVITY
~ASCII
8000.0  40.0  10.0
8000.5  50.0 -999.25
8001.0  60.0  12.0
"""


def las(*changes: tuple[str, str]) -> bytes:
    text = LAS
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return text.encode()


def test_las_curves_are_read_with_units_and_nulls() -> None:
    found = parse_las(las())
    assert [(each["mnemonic"], each["unit"], each["samples"]) for each in found.records] == [
        ("GR", "GAPI", [40.0, 50.0, 60.0]),
        ("RT", "OHMM", [10.0, None, 12.0]),
    ]
    assert found.records[0]["wellbore"] == "30-015-90001-00"
    assert found.notes == []


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ([("STRT.F 8000.0 :", "STRT.F 0 :")], "STRT says 0, the data 8000"),
        ([("STOP.F 8001.0 :", "STOP.F :")], "no number for STOP"),
        ([("~Well\n", "~Well\nCOMP SOMEBODY WITHOUT A DOT\nDATE  : : 12/01/99 :\n")], ""),
        ([("DEPT.F ", "DEPT. ")], "taken from STRT: F"),
        ([("NULL. -999.25 :", "NULL. -999 :")], ""),
        ([("VERS. 2.0", "VERS. 1.2"), ("UWI .  30-015-90001 : API NUMBER", "UWI .  API NUMBER : 30-015-90001")], ""),
        ([("RT  .OHMM : RESISTIVITY", "GR  .GAPI : GAMMA RAY, SECOND RUN")], ""),
        ([("~ASCII", "~A  DEPTH   GR   RT")], ""),
        ([("\n", "\r\n")], ""),
        ([("~Version\n", "# written by somebody\n~Version\n")], ""),
    ],
)
def test_las_with_a_broken_header_is_read_and_the_repair_is_noted(changes: list[tuple[str, str]], note: str) -> None:
    found = parse_las(las(*changes))
    assert found.records[0]["samples"] == [40.0, 50.0, 60.0]
    assert note in "; ".join(found.notes)


def test_las_in_metres_is_converted_to_feet() -> None:
    found = parse_las(las((".F", ".M")))
    assert found.records[0]["depths_ft"][0] == pytest.approx(26_246.719, abs=1e-3)
    assert "depths are converted from m to ft" in found.notes


def test_las_logged_upwards_is_turned() -> None:
    found = parse_las(las(("8000.0  40.0", "8002.0  40.0"), ("8000.5  50.0", "8001.5  50.0")))
    assert found.records[0]["depths_ft"] == [8001.0, 8001.5, 8002.0]
    assert found.records[0]["samples"] == [60.0, 50.0, 40.0]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (las(("UWI .  30-015-90001 : API NUMBER", "UWI .  unknown :")), "names no API number"),
        (las(("UWI .  30", "API .  30-015-90002-01 :\nUWI .  30")), "names two wellbores"),
        (las(("8000.5  50.0", "7999.5  50.0")), "neither rise nor fall"),
        (las(("8000.5  50.0", "-999.25  50.0")), "null, negative or below"),
        (las((".F", ".S")), "expected F, FT or M"),
        (las(("8000.0  40.0  10.0\n8000.5  50.0 -999.25\n8001.0  60.0  12.0\n", "")), ""),
        (b"%PDF-1.4 no log at all", "no section that begins with ~"),
        (b"\x00\x01\x02~", "no LAS file"),
        (b"~", ""),
        (b"~A\n1 2 3\n4 5", ""),
        (las(("8000.5  50.0 -999.25", "8000.5")), ""),
    ],
)
def test_las_that_cannot_be_trusted_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(FileRefused) as refused:
        parse_las(data)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    "text", ["1_0", "1_000.5", "\u0661\u0662", "\uff11\uff12", "inf", "1e9999", "0x10", "1,5", "- 1", "\u0661e1"]
)
def test_number_that_only_python_reads_is_refused(text: str) -> None:
    found = parse_csv(csv_of("API_NUMBER,PRODUCTION_MONTH,OIL_BBL", f'30-015-90001,2025-01,"{text}"'))
    assert [row.field for row in found.refused] == ["OIL_BBL"]
    assert found.records == []


@pytest.mark.parametrize(
    "column", ["FIELD", "FORMATION", "COUNTY", "STATE", "OPERATOR", "PAD", "LIFT_TYPE", "LEASE_ID"]
)
@pytest.mark.parametrize("text", ["a\x00b", "\u202ea", "x" * 201, "\ue000"])
def test_text_that_no_table_or_page_shows_is_refused(column: str, text: str) -> None:
    found = parse_csv(csv_of(f"API_NUMBER,WELL_NAME,BASIN,{column}", f"30-015-90001,Cutbow 7H,DJ,{text}"))
    assert [row.field for row in found.refused] == [column]
