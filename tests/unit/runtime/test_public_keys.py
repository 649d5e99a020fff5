"""Who may approve, from the variable itself or from a file that it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from switchyard.runtime.core.settings import ApproverSettings, EnvironmentSettings, InvalidSettings
from tests.operators import OPERATOR, OPERATOR_PUBLIC_KEYS

KEY = OPERATOR_PUBLIC_KEYS[OPERATOR]


class Approvers(ApproverSettings, EnvironmentSettings):
    """The part of a process's settings that these tests are about."""


def test_approvers_come_from_the_file_that_the_variable_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "approvers.json"
    file.write_text(f'{{"{OPERATOR}": "{KEY}"}}', encoding="utf-8")
    monkeypatch.setenv("SWITCHYARD_APPROVERS", f"@{file}")
    assert Approvers().approvers == {OPERATOR: bytes.fromhex(KEY)}


@pytest.mark.parametrize("content", [None, b"", b"[]", b"\xff", b'{"a": "00"}', b"@/etc/hostname"])
def test_file_that_names_no_approvers_is_refused_with_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    file = tmp_path / "approvers.json"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("SWITCHYARD_APPROVERS", f"@{file}")
    with pytest.raises(InvalidSettings, match="SWITCHYARD_APPROVERS"):
        Approvers()


@pytest.mark.parametrize("value", ["@", "@/", "@/no/such/file", "@\0"])
def test_name_of_no_file_is_refused_with_the_variable(value: str) -> None:
    with pytest.raises(ValueError, match="SWITCHYARD_APPROVERS"):
        ApproverSettings.model_validate({"approvers": value})
