"""SQL lives in named statements."""

from __future__ import annotations

from pathlib import Path

import pytest

from switchyard.runtime.database.queries import Queries


def test_each_statement_is_found_by_its_name_with_its_comments(tmp_path: Path) -> None:
    file = tmp_path / "queries.sql"
    file.write_text("-- name: one\nselect 1\n\n-- name: two\n-- why\nselect 2\n  from t\n")
    queries = Queries(file)
    assert queries["one"] == "select 1"
    assert queries["two"] == "-- why\nselect 2\n  from t"


def test_a_name_that_is_missing_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "queries.sql"
    file.write_text("-- name: one\nselect 1\n")
    with pytest.raises(KeyError, match="three"):
        Queries(file)["three"]
