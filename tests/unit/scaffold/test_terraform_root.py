"""The terraform root that `switchyard new` writes: it names what exists, and has every fact of the generated files.

Its modules are ours, which tests/unit/terraform checks. Nothing here was planned against AWS.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hcl2.api import loads

from switchyard.scaffold.repository import create_repository


@pytest.fixture(scope="module")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return create_repository(tmp_path_factory.mktemp("root") / "harbor") / "terraform"


def root(terraform: Path) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(terraform.glob("*.tf")))


def test_root_uses_exactly_its_variables_and_dev_gives_them(terraform: Path) -> None:
    declared = set(re.findall(r'^variable "(\w+)"', root(terraform), re.MULTILINE))
    used = set(re.findall(r"\bvar\.(\w+)", root(terraform)))
    assert used == declared
    given = set(loads((terraform / "dev.tfvars").read_text(encoding="utf-8")))
    given = {name for name in given if not name.startswith("__")}
    optional = {"frozen"}
    assert declared - optional <= given <= declared


def test_root_names_only_modules_that_it_has_with_all_their_variables(terraform: Path) -> None:
    text = (terraform / "main.tf").read_text(encoding="utf-8")
    declared = set(re.findall(r'^module "(\w+)"', text, re.MULTILINE))
    assert set(re.findall(r"\bmodule\.(\w+)", root(terraform))) <= declared
    for name, body in re.findall(r'^module "(\w+)" \{\n(.*?)^\}', text, re.MULTILINE | re.DOTALL):
        folder = terraform / re.search(r'source\s*=\s*"\./(.*?)"', body)[1]  # type: ignore[index]
        needed = "\n".join(path.read_text(encoding="utf-8") for path in folder.glob("*.tf"))
        blocks = re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', needed, re.MULTILINE | re.DOTALL)
        passed = set(re.findall(r"^  (\w+)\s*=", body, re.MULTILINE)) - {"source", "for_each"}
        known = {each for each, _ in blocks}
        required = {each for each, lines in blocks if not re.search(r"^  default\s*=", lines, re.MULTILINE)}
        assert required <= passed <= known, name


def test_root_has_every_fact_that_its_generated_files_name(terraform: Path) -> None:
    facts = set(re.findall(r"^    (\w+)\s*= ", (terraform / "locals.tf").read_text(encoding="utf-8"), re.MULTILINE))
    for path in (terraform / "generated").rglob("*.json"):
        if path.stem.partition(".")[0] in {"ingress", "topology", "images"}:
            continue
        named = set(re.findall(r"\$\{(\w+)\}", path.read_text(encoding="utf-8")))
        assert {each for each in named if not each.startswith("secret_")} <= facts, path.name


def test_each_server_of_the_topology_has_a_service(terraform: Path) -> None:
    servers = json.loads((terraform / "generated" / "topology.json").read_text(encoding="utf-8"))["servers"]
    [places] = re.findall(r"^  for_each\s*= \{ (console = .*?) \}$", root(terraform), re.MULTILINE)
    assert set(servers) == set(re.findall(r"(\w+) = \{ place", places))


def test_vendor_of_each_process_has_its_hosts(terraform: Path) -> None:
    topology = json.loads((terraform / "generated" / "topology.json").read_text(encoding="utf-8"))
    vendors = {each for part in ("consumers", "servers") for one in topology[part].values() for each in one["egress"]}
    values = loads((terraform / "dev.tfvars").read_text(encoding="utf-8"))
    assert vendors <= {name.strip('"') for name in values["hosts"]}


def test_dev_has_a_digest_for_each_image(terraform: Path) -> None:
    values = (terraform / "dev.tfvars").read_text(encoding="utf-8")
    for name in ("assistant", "audit", "case-manager", "cli", "collector", "console", "router"):
        assert f'"{name}"' in values
