from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from services.specialists.text_to_sql.schema import Schema, SchemaError, load_schema
from services.specialists.text_to_sql.schema_import import ImportFailed, import_folder


def test_measures_all_have_a_unit(schema: Schema) -> None:
    for name, table in schema.tables.items():
        for key, column in table.columns.items():
            if column.type.startswith("NUMBER"):
                assert column.unit, f"{name}.{key} has no unit"


def test_tables_are_all_labelled_synthetic(schema: Schema) -> None:
    assert schema.data_label == "SYNTHETIC"
    for table in schema.tables.values():
        assert table.comment.startswith("SYNTHETIC")
        assert "DATA_LABEL" in table.columns


def test_description_has_types_units_and_values(schema: Schema) -> None:
    described = schema.tables["WELLS"].described("WELLS")
    assert "LATERAL_LENGTH_FT NUMBER(7,0) [ft]:" in described
    assert "One of: producing, shut_in, plugged, drilling." in described


def test_schema_version_changes_with_the_content(schema: Schema) -> None:
    changed = schema.model_copy(update={"data_through": "2030-01-01"})
    assert Schema.model_validate(schema.model_dump()).version == schema.version
    assert Schema.model_validate(changed.model_dump()).version != schema.version


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("not toml", "is not TOML"),
        (
            'database = "A"\nnamespace = "B"\n[tables.T]\ncomment = "c"\n[tables.T.columns]\nX = { type = "DATE" }',
            "comment",
        ),
        ('database = "a; drop"\nnamespace = "B"\ntables = {}', "database"),
    ],
)
def test_invalid_schema_file_is_explained(text: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / "schema.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SchemaError, match=named):
        load_schema(path)


def test_missing_schema_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="switchyard schema import"):
        load_schema(tmp_path / "none.toml")


@pytest.mark.parametrize("start", [10, 30])
@pytest.mark.parametrize("damage", [b"", b"\xff" * 20, b"\x00" * 20])
def test_damaged_gzip_file_is_refused_by_name(tmp_path: Path, start: int, damage: bytes) -> None:
    whole = gzip.compress(b"A_ID,B\n" + b"".join(b"%d,%d\n" % (n, n * 7_919) for n in range(200)))
    (tmp_path / "t.csv.gz").write_bytes(whole[:start] + damage + whole[start + len(damage) :] * bool(damage))
    with pytest.raises(ImportFailed, match=r"t\.csv\.gz"):
        import_folder(tmp_path, database="D", namespace="N")
