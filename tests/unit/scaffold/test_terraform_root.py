"""The terraform of a repository that `switchyard new` writes: root and modules are ours, and its values fit them.

`make terraform-check` plans and applies it with mock values.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from switchyard.scaffold.repository import TEMPLATES, create_repository
from tests.unit.terraform.reading import ROOT, blocks, parsed


@pytest.fixture(scope="module")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return create_repository(tmp_path_factory.mktemp("root") / "harbor") / "terraform"


def test_root_and_modules_are_those_of_this_repository(terraform: Path) -> None:
    written = {path.relative_to(terraform): path.read_bytes() for path in terraform.rglob("*.tf")}
    assert written == {path.relative_to(ROOT): path.read_bytes() for path in ROOT.rglob("*.tf")}
    assert not list((TEMPLATES / "terraform").glob("*.tf")), "one root for all applications"


def test_dev_gives_every_variable_that_has_no_default_and_no_other(terraform: Path) -> None:
    declared = {name: body for block in blocks(ROOT, "variable") for name, body in block.items()}
    given = set(parsed(terraform / "dev.tfvars"))
    assert {name for name, body in declared.items() if "default" not in body} <= given <= set(declared)


def test_dev_has_an_image_and_egress_for_each_process(terraform: Path) -> None:
    values = parsed(terraform / "dev.tfvars")
    topology = json.loads((terraform / "generated" / "topology.json").read_text(encoding="utf-8"))
    assert set(topology["servers"]) <= set(values), "a server without a place is not deployed"
    deployed = topology["consumers"] | topology["servers"]
    assert set(values["images"]) == {process["name"] for process in deployed.values()} | {"cli", "collector"}
    assert {vendor for process in deployed.values() for vendor in process["egress"]} <= set(values["hosts"])
