"""SQL lives in named statements."""

from __future__ import annotations

from pathlib import Path

import pytest

from switchyard.runtime.database.queries import Queries


def test_statements_are_loaded_by_name_with_their_comments(tmp_path: Path) -> None:
    file = tmp_path / "queries.sql"
    file.write_text("-- name: one\nselect 1\n\n-- name: two\n-- why\nselect 2\n  from t\n")
    queries = Queries(file)
    assert queries["one"] == "select 1"
    assert queries["two"] == "-- why\nselect 2\n  from t"


def test_missing_statement_name_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "queries.sql"
    file.write_text("-- name: one\nselect 1\n")
    with pytest.raises(KeyError, match="three"):
        Queries(file)["three"]
