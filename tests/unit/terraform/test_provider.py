"""Every resource has the arguments of the provider's schema, by an extract of that schema."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.unit.terraform.provider.check import problems, unknown_output
from tests.unit.terraform.provider.extract import FILE
from tests.unit.terraform.provider.uses import Body, bodies, used
from tests.unit.terraform.reading import MODULES, ROOT, parsed

SCHEMA: dict[str, Any] = json.loads(FILE.read_text())
PART = {"resource": "resource_schemas", "data": "data_source_schemas"}
BODIES = list(bodies())
_REFERENCE = re.compile(r"(?<![\w.\"])(data\.)?(aws_\w+)\.\w+((?:\[[^\]]*\])?(?:\.[a-z_0-9]+(?:\[[^\]]*\])?)*)")


def block(kind: str, type_: str) -> dict[str, Any]:
    found: dict[str, Any] = SCHEMA[PART[kind]][type_]["block"]
    return found


def body(**parts: Any) -> Body:
    return Body("here", parts, {}, frozenset())


def test_extract_has_exactly_the_types_of_our_files() -> None:
    assert {(kind, type_) for kind, part in PART.items() for type_ in SCHEMA[part]} == set(used()), (
        "make provider-schema"
    )
    assert len(BODIES) > 200


def test_extract_has_the_provider_version_of_the_root_module() -> None:
    [terraform] = parsed(ROOT / "main.tf")["terraform"]
    assert terraform["required_providers"][0]["aws"] == {"source": "hashicorp/aws", "version": "~> 6.69"}
    assert SCHEMA["version"].startswith("6.69.")


@pytest.mark.parametrize("kind", PART)
def test_arguments_and_blocks_exist_and_required_ones_are_given(kind: str) -> None:
    found = [each for kind_, type_, body in BODIES if kind_ == kind for each in problems(body, block(kind, type_))]
    assert found == [], "or, for a new block: make provider-schema"


def test_referenced_attributes_are_in_the_providers_schema() -> None:
    seen, wrong = 0, []
    for folder in (*MODULES, ROOT):
        for path in sorted(folder.glob("*.tf")):
            for data, type_, tail in _REFERENCE.findall(path.read_text()):
                names = re.findall(r"\.([a-z_]+)", re.sub(r"\[[^\]]*\]", "", tail))
                if not names:
                    continue
                seen += 1
                if unknown := unknown_output(names, block("data" if data else "resource", type_)):
                    wrong.append(f"{path.name}: {type_} has no {unknown}")
    assert wrong == []
    assert seen > 150


def test_problems_of_each_kind_are_found() -> None:
    queue = block("resource", "aws_sqs_queue")
    assert list(problems(body(name="q", count=2), queue)) == []
    assert list(problems(body(nam="q"), queue)) == ["here: there is no argument nam"]
    assert list(problems(body(arn="q"), queue)) == ["here: arn is set by the provider"]
    rule = block("resource", "aws_cloudwatch_event_target")
    assert list(problems(body(rule="r"), rule)) == ["here: the argument arn is required"]
    given = Body("here", {"rule": "r", "arn": "a"}, {"retry_policy": [body(), body()]}, frozenset())
    assert list(problems(given, rule)) == ["here: retry_policy is given 2 times: once is allowed"]
    given = Body("here", {"rule": "r", "arn": "a"}, {"dead_letter_config": [body(queue="q")]}, frozenset())
    assert list(problems(given, rule)) == ["here: there is no argument queue"]
    assert list(problems(body(rule="r", arn="a", retry_policy="x"), rule)) == [
        "here: retry_policy is a block, given as an argument"
    ]
    assert sorted(problems(Body("here", {}, {"tags": [body()], "x": [body()]}, frozenset()), queue)) == [
        "here: tags is an argument, given as a block",
        "here: x is not one of its blocks",
    ]
    assert unknown_output(
        ["firewall_status", "sync_states", "unknown"], block("resource", "aws_networkfirewall_firewall")
    )
