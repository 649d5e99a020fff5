"""A file of a person is read, or refused in words: no error of a parser and no traceback reaches them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from switchyard.evals.calibration import read_calibration
from switchyard.evals.prompted_suite import DatasetError, read_dataset
from switchyard.runtime.core.yaml_file import UnreadableFile, read_yaml

ODD = {
    "binary": (b"\xff\xfe\x00\x80" * 50, "it is no text in UTF-8"),
    "deep list": (b"[" * 100_000, "it is nested too deeply"),
    "deep map": (b"{a: " * 50_000, "it is nested too deeply"),
    "two documents": (b"a: 1\n---\nb: 2\n", "expected a single document"),
    "tab": (b"a:\n\t- b\n", "at line 2"),
    "alias of nothing": (b"a: *b\n", "undefined alias"),
    "object of Python": (b"!!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
    "date": (b"day: 2026-01-02\n", "without a form in JSON"),
    "set": (b"names: !!set {a, b}\n", "without a form in JSON"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_file_is_refused_with_its_name_and_the_reason(name: str, tmp_path: Path) -> None:
    content, why = ODD[name]
    path = tmp_path / "odd.yaml"
    path.write_bytes(content)
    with pytest.raises(UnreadableFile) as refused:
        read_yaml(path)
    assert why in str(refused.value)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)
    for read in (read_calibration, read_dataset):
        with pytest.raises(DatasetError, match=r"odd\.yaml"):
            read(path)


def test_file_that_is_missing_or_a_folder_is_refused_in_words(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "absent", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(UnreadableFile, match=why):
            read_yaml(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200) | st.text(alphabet="[]{}:,-!&*#|>'\" \n\tab0", max_size=80).map(str.encode))
def test_any_bytes_are_read_or_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "any.yaml"
    path.write_bytes(content)
    with suppress(UnreadableFile):
        read_yaml(path)
