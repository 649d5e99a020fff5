"""Every command in docs/operate exists: of ours, of the AWS command line, of terraform, of make; with its options, and
on resources that terraform makes."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from tests.reference import topology
from tests.unit.cli.test_help import all_commands, options
from tests.unit.terraform.reading import ROOT as TERRAFORM
from tests.unit.terraform.reading import blocks, values

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *sorted((ROOT / "docs" / "operate").glob("*.md")),
    *sorted((ROOT / "docs" / "audit").glob("*.md")),
    ROOT / "examples" / "upstream" / "README.md",
]
_SPAN = re.compile(r"`([^`]+)`", re.DOTALL)
_FENCE = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
CLI_OPTIONS = {"query", "output", "region", "profile", "cli-input-json"}
"""Options that the AWS command line adds to every operation."""


def commands(program: str) -> list[tuple[str, list[str]]]:
    """Every documented command of a program: the page, and its words."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        spans = [" ".join(span.split()) for span in _SPAN.findall(_FENCE.sub("", text))]
        lines = [line for block in _FENCE.findall(text) for line in block.splitlines()]
        for span in (*spans, *lines):
            for part in re.split(r"&&|\||(?<=\")\$\(|;", span.partition(" # ")[0]):
                if found_at := re.match(rf"(?:\w+=\S+ |SWITCHYARD_OPERATIONS=\".*?\" )*({program} .*)", part.strip()):
                    with_words = re.sub(r"[…<>\[\]()]", "", found_at[1])
                    try:
                        found.append((page.name, shlex.split(with_words)))
                    except ValueError:  # a quote that the split cut
                        found.append((page.name, with_words.replace('"', "").replace("'", "").split()))
    return found


def ids(each: Any) -> str:
    return " ".join(each)[:60] if isinstance(each, list) else str(each)


COMMANDS = {tuple(words.split()): command for words, command in all_commands().items()}
GROUPS = {words[:length] for words in COMMANDS for length in range(len(words))}


def check_own(words: list[str]) -> None:
    """Raise unless our command line has the command and each option."""
    named = [word for word in words if not word.startswith("-")]
    plain = [word.partition("|")[0] for word in named]
    depth = next((depth for depth in (3, 2, 1) if depth <= len(plain) and tuple(plain[:depth]) in COMMANDS), 0)
    if not depth:
        known = [word for word in plain if not word.isupper()]
        assert tuple(known) in GROUPS, f"there is no command {' '.join(words)}"
        return
    for other in named[depth - 1].split("|"):
        assert (*plain[: depth - 1], other) in COMMANDS, f"there is no command {other}"
    rest = words[words.index(named[depth - 1]) + 1 :]
    if "--" in rest:
        check_own(rest[rest.index("--") + 1 :])
        rest = rest[: rest.index("--")]
    known_options = options(COMMANDS[tuple(plain[:depth])]) | {"--help"}
    assert [word for word in rest if word.startswith("--") and word.partition("=")[0] not in known_options] == []


@pytest.mark.parametrize(("page", "words"), commands("switchyard"), ids=ids)
def test_documented_command_of_ours_exists_with_its_options(page: str, words: list[str]) -> None:
    check_own(words[1:])


@pytest.mark.parametrize(("page", "words"), commands("aws"), ids=ids)
def test_documented_aws_command_exists_with_its_options(page: str, words: list[str]) -> None:
    session = botocore.session.Session()
    service, operation = words[1], words[2]
    model = session.get_service_model({"s3api": "s3"}.get(service, service))
    named = {xform_name(name, "-"): name for name in model.operation_names}
    assert operation in named, f"{service} has no {operation}"
    shape = model.operation_model(named[operation]).input_shape
    members = {xform_name(name, "-") for name in shape.members} if shape else set()
    members |= {f"no-{name}" for name in members} | CLI_OPTIONS
    # The command line spells these without the separator of the API's name.
    members |= {name.replace("d-b-", "db-") for name in members} | {name.replace("i-a-m", "iam") for name in members}
    given = [word.removeprefix("--") for word in words if word.startswith("--")]
    assert [option for option in given if option not in members] == []


@pytest.mark.parametrize(("page", "words"), commands("terraform"), ids=ids)
def test_documented_terraform_command_names_what_exists(page: str, words: list[str]) -> None:
    modules = {name for block in blocks(TERRAFORM, "module") for name in block}
    variables = {name for block in blocks(TERRAFORM, "variable") for name in block}
    outputs = {name for block in blocks(TERRAFORM, "output") for name in block}
    text = " ".join(words)
    assert set(re.findall(r"-target=\W*module\.(\w+)", text)) <= modules
    assert set(re.findall(r"-var (\w+)=", text)) <= variables
    if "output" in words and (names := [word for word in words[words.index("output") + 1 :] if word.isidentifier()]):
        assert names[0] in outputs
    for module, resource in re.findall(r"\bmodule\.(\w+)\.(aws_\w+\.\w+)", text):
        folder = "database" if module.endswith("_db") else module
        source = "".join(path.read_text() for path in (TERRAFORM / "modules" / folder).glob("*.tf"))
        assert '"{}" "{}"'.format(*resource.split(".")) in source


def test_deploy_page_names_each_module_and_no_other() -> None:
    text = (ROOT / "docs" / "operate" / "deploy.md").read_text(encoding="utf-8")
    section = text[text.index("## Modules") : text.index("## Who may do what")]
    databases = {name for block in blocks(TERRAFORM, "module") for name in block if name.endswith("_db")}
    modules = {path.name for path in (TERRAFORM / "modules").iterdir()}
    assert set(re.findall(r"`(\w+)`", section)) == modules | databases | set(topology()["operations"]["jobs"]) - {
        "erase-again"
    }


def test_documented_outputs_and_values_exist() -> None:
    outputs = {name for block in blocks(TERRAFORM, "output") for name in block}
    declared = {name for block in blocks(TERRAFORM, "variable") for name in block}
    # `console.…` is an event of the console's log, or a table of it.
    given = values("prod") | {"console": None}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert set(re.findall(r"\boutput `(\w+)`", text)) <= outputs, page.name
        assert set(re.findall(r"`([a-z_]+) = [^`]*`", text)) <= declared, page.name
        for variable, member in re.findall(r"`(\w+)\.([a-z_]+)(?: = \w+)?`", text):
            if page.stem in {"capacity", "deploy", "runbook"} and isinstance(given.get(variable), dict):
                assert member in given[variable], f"{page.name}: {variable}.{member}"


@pytest.mark.parametrize(("page", "words"), commands("make"), ids=ids)
def test_documented_make_target_exists(page: str, words: list[str]) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {word for word in words[1:] if "=" not in word and word.islower() and "/" not in word} <= targets


def test_documented_log_groups_and_policies_are_made_by_terraform() -> None:
    made = "".join(path.read_text() for path in TERRAFORM.rglob("*.tf"))
    names = {consumer["name"] for part in ("consumers", "servers") for consumer in topology()[part].values()}
    roles = set(topology()["operations"]["roles"])
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for group in re.findall(r"`(/(?:switchyard|aws/events)/[\w-]+)`", text):
            assert f'"{group}"' in made or group.removeprefix("/switchyard/") in names | {"NODE"}, (
                f"{page.name}: {group}"
            )
        for role in re.findall(r"`switchyard-run-as-([\w-]+)`", text):
            assert role in roles | {"ROLE"}, f"{page.name}: {role}"
        for role in re.findall(r"switchyard remote ([a-z]+)", text):
            assert role in roles, f"{page.name}: {role}"
    assert 'name        = "switchyard-on-call"' in made
    assert 'name        = "switchyard-stop-publishing"' in made


def test_commands_are_found_in_spans_and_blocks() -> None:
    assert len(commands("switchyard")) > 60
    assert len(commands("aws")) > 10
    assert len(commands("terraform")) > 8
    with pytest.raises(AssertionError):
        check_own(["playbook", "stop", "assist"])
    with pytest.raises(AssertionError):
        check_own(["playbook", "halt", "assist", "--now"])
    with pytest.raises(AssertionError):
        check_own(["remote", "auditor", "--", "audit", "prove"])


def test_python_of_a_page_imports_names_that_exist() -> None:
    pages = {page: page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md")}
    found = [
        (page.name, module, name)
        for page, text in pages.items()
        for module, name in re.findall(r"from (switchyard(?:_client)?[\w.]*) import (\w+)", text)
    ]
    assert ("deploy.md", "switchyard.protocol.signing", "derive_public_key") in found
    assert [each for each in found if not hasattr(import_module(each[1]), each[2])] == []


def test_fences_of_pages_are_three_backticks() -> None:
    pages = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md"), ROOT / "README.md"]
    assert [page.name for page in pages if re.search(r"^``$", page.read_text(encoding="utf-8"), re.MULTILINE)] == []
