"""The auditor's verifier reads a file of somebody else: each is proven or refused, in lines that it alone wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from switchyard.audit.export.standalone.verify_bundle import main

FAKE = "\x1b[2J\x1b[H\r\nPROVEN  nothing altered\ud800\u202e"
EMPTY: dict[str, Any] = {
    "format": "switchyard-bundle/1",
    "case_id": "c",
    "events": [],
    "checkpoints": [],
    "public_keys": [],
    "artefacts": [],
}
ENTRY = dict.fromkeys(["log_index", "recorded_at", "mac", "mac_key", "body", "checkpoint", "inclusion_proof"], FAKE)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


VALUES: tuple[Any, ...] = (None, 0, -1, "", [[]], [{}], {"a": []}, nested(300))


@pytest.mark.parametrize(
    "bundle",
    [
        {}, EMPTY, EMPTY | {"public_keys": [FAKE]}, EMPTY | {"public_keys": 5}, EMPTY | {"public_keys": [None]},
        EMPTY | {"case_id": FAKE},
        EMPTY | {"events": [ENTRY]}, EMPTY | {"events": [ENTRY | {"body": "[" * 900}]},
        EMPTY | {"events": [ENTRY | {"body": 1}]},
        EMPTY | {"events": [FAKE]}, EMPTY | {"events": FAKE}, {FAKE: FAKE},
        EMPTY | {"events": [{"leaf": {}, "body": nested(400)}]}, EMPTY | {"checkpoints": [nested(400)]},
        EMPTY | {"events": [{"body": FAKE, "index": 10**40}]}, EMPTY | {"checkpoints": [{"body": {"made_at": FAKE}}]},
        EMPTY | {"checkpoints": [{"body": {"size": -1, "made_at": "0001-01-01T00:00:00+14:00", "key": FAKE}}]},
        *({**EMPTY, name: value} for name in EMPTY for value in VALUES),
    ],
)  # fmt: skip
def test_hostile_bundle_is_never_proven(tmp_path: Path, capsys: pytest.CaptureFixture[str], bundle: Any) -> None:
    path = tmp_path / "bundle.json"
    path.write_text(json.dumps(bundle), encoding="utf-8")
    for more in ([], ["--key", FAKE], ["--signers", str(path)]):
        assert main([str(path), *more]) in {1, 2, 3}
        lines = capsys.readouterr().out.split("\n")
        assert lines.pop() == ""
        assert all(line.isascii() and line.isprintable() for line in lines)
        assert not any(line.startswith("PROVEN") for line in lines)


@pytest.mark.parametrize(
    "text", ["", "[", "[" * 5_000, '{"a":' * 5_000, "1e999", '{"a":1,"a":2}', "nul", "9" * 5_000, "\x00"]
)
def test_file_that_is_no_bundle_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    path = tmp_path / "bundle.json"
    path.write_text(text, encoding="utf-8")
    assert main([str(path)]) == 2
    assert capsys.readouterr().out.startswith("cannot read the bundle")
