"""Questions, answers and rows are texts of others: on a terminal they are shown, and never act."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from switchyard.cli.app.console import Field, console, print_json, print_rows, print_text

PRINTS: dict[str, Callable[[str], None]] = {
    "line": print_text,
    "row": lambda text: print_rows([{"a": text}], [Field("a")]),
    "plain": console.print,
    "json": lambda text: print_json({"a": text}),
}
TEXTS = (
    "\x1b[2J\x1b[Hok", "\x1b]0;title\x07", "\x1b]8;;https://x.example\x1b\\here\x1b]8;;\x1b\\", "a\rb", "a\x08b",
    "\x9b31m", "\x7f", "\u202eevil", "\u2066x", "\ud800", "a\x00b",
)  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", PRINTS)
def test_text_of_others_does_not_act_on_the_terminal(capsys: pytest.CaptureFixture[str], name: str, text: str) -> None:
    console.__dict__.pop("console", None)
    PRINTS[name](text)
    console.__dict__.pop("console", None)
    shown = capsys.readouterr().out
    assert not any(ord(each) < 32 and each != "\n" for each in shown)
    assert not any(each in shown for each in "\x7f\x9b\u202e\u2066\ud800")
    if name == "json":
        assert json.loads(shown) == {"a": text}


def test_text_with_lines_and_brackets_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    console.__dict__.pop("console", None)
    print_text("one [bold]\n\ttwo Zoë \u201cthree\u201d")
    console.__dict__.pop("console", None)
    assert "one [bold]" in (shown := capsys.readouterr().out)
    assert "two Zoë \u201cthree\u201d" in shown
