"""Reading scripts: what is accepted, and the messages about mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from switchyard.devstack.simulators.models.script import DEFAULT_SCRIPT, ScriptError, TextMatch, load_scripts


def written(folder: Path, text: str, name: str = "script.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def rule(body: str) -> str:
    return f"rules:\n  - name: greet\n    {body}\n"


def test_default_script_is_valid() -> None:
    assert [rule.name for rule in load_scripts([DEFAULT_SCRIPT]).rules] == ["ping", "draft-from-findings"]


def test_scripts_folder_is_read_by_name_in_rule_order(tmp_path: Path) -> None:
    written(tmp_path, "rules: [{name: two, when: {}, reply: {text: '2'}}]", "b.yaml")
    written(tmp_path, "rules: [{name: one, when: {}, reply: {text: '1'}}]", "a.yaml")
    extra = written(tmp_path, "rules: [{name: three, when: {}, reply: {text: '3'}}]", "extra.yml")
    assert [rule.name for rule in load_scripts([tmp_path, extra]).rules] == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (rule("when: {}\n    reply: {}"), "rule 'greet', reply: answers nothing: give one of text, tools, output"),
        (rule("when: {}\n    answer: hi"), "rule 'greet', reply: is missing; add it"),
        (
            rule("when: {usr: hi}\n    reply: {text: x}"),
            "rule 'greet', when.usr: there is no such field; switchyard/",
        ),
        (rule("when: {user: {regex: '('}}\n    reply: {text: x}"), "when.user: is not a regular expression"),
        (rule("when: {}\n    reply: {text: x}\n    fault: {planned: x}"), "fault: says nothing of what shall happen"),
        (rule("when: {}\n    reply: {text: x}\n    fault: {stall: true, error: 500}"), "cannot both stall and fail"),
        (
            rule("when: {}\n    reply: {text: x}\n    fault: {distribution: {name: odd}}"),
            "fault.distribution.name: Input should be",
        ),
        ("rules: [{when: {}, reply: {text: x}}]", "rule number 1, name: is missing; add it"),
        ("rules: {", "is not YAML"),
        ("- a", "the file: Input should be"),
    ],
)
def test_script_mistake_is_named_with_its_place_and_remedy(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ScriptError) as caught:
        load_scripts([path])
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_rule_name_used_in_two_files_is_refused(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        written(tmp_path, rule("when: {}\n    reply: {text: x}"), name)
    with pytest.raises(ScriptError, match="two rules are named 'greet': rename one"):
        load_scripts([tmp_path])


def test_missing_script_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"gone\.yaml: cannot be read .*; check --script"):
        load_scripts([tmp_path / "gone.yaml"])


def test_empty_folder_is_refused_as_a_script(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"has no \*\.yaml file"):
        load_scripts([tmp_path])


def test_any_condition_needs_one_of_its_texts() -> None:
    wanted = TextMatch.model_validate({"any": ["North pad", "south pad"], "contains": "oil"})
    assert wanted.find("OIL of the north pad")
    assert not wanted.find("oil of the west pad")
    assert not wanted.find("gas of the north pad")
