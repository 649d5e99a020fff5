"""What is generated from the catalogue is committed, current, and says what the code does."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from faststream.specification.asyncapi.v3_0_0.schema import ApplicationSchema

from contracts.catalogue import CATALOGUE
from switchyard.app.application import resource_path
from switchyard.app.asyncapi import build_asyncapi
from switchyard.app.generate import SCHEMAS_FOLDER, main, schema_files
from switchyard.app.generated_files import stale_files
from switchyard.protocol.canonical import canonical_json, parse_json
from switchyard.protocol.digest import UNDIGESTED_FIELDS, event_digest
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Json
from tests.reference import consumers

VECTORS: Json = json.loads(resource_path("switchyard.protocol:digest-vectors.json").read_text())
NAMES = [(type_.name, type_.version) for type_ in CATALOGUE.types]
SCHEMAS = sorted(set(schema_files(CATALOGUE)) - {"asyncapi.json"})
ASSERTIONS = {"$ref", "allOf", "anyOf", "const", "enum", "type"}


def generated(name: str) -> Json:
    document: Json = json.loads((SCHEMAS_FOLDER / name).read_text())
    return document


def subschemas(schema: Any) -> Iterator[Json]:
    """A schema and every schema inside it."""
    yield schema
    for keyword in ("$defs", "properties", "patternProperties"):
        for inner in schema.get(keyword, {}).values():
            yield from subschemas(inner)
    for keyword in ("anyOf", "allOf", "prefixItems"):
        for inner in schema.get(keyword, []):
            yield from subschemas(inner)
    for keyword in ("items", "additionalProperties", "propertyNames"):
        if isinstance(schema.get(keyword), dict):
            yield from subschemas(schema[keyword])


def resolved(document: Json, reference: str) -> Any:
    """What a `#/…` reference points at. Raises `KeyError` if it points nowhere."""
    place: Any = document
    for part in reference.removeprefix("#/").split("/"):
        place = place[part]
    return place


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def test_committed_files_equal_the_generated_ones() -> None:
    assert stale_files(SCHEMAS_FOLDER, schema_files(CATALOGUE)) == [], (
        "run `python -m switchyard.app.generate` and commit the result"
    )


def test_generating_twice_writes_the_same() -> None:
    assert schema_files(CATALOGUE) == schema_files(CATALOGUE)


def test_generated_files_check_passes_after_writing_and_names_differences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
    (tmp_path / "envelope.json").write_text("{}")
    (tmp_path / "AgentChosen.v1.json").unlink()
    (tmp_path / "AgentDismissed.v1.json").write_text("{}")
    assert main(["--check"], tmp_path) == 1
    output = capsys.readouterr().out
    assert [Path(line.split()[0]).name for line in output.splitlines() if line.startswith(str(tmp_path))] == [
        "AgentChosen.v1.json",
        "AgentDismissed.v1.json",
        "envelope.json",
    ]
    assert "python -m switchyard.app.generate" in output


def test_stale_generated_files_are_removed_by_writing(tmp_path: Path) -> None:
    main([], tmp_path)
    (tmp_path / "AgentDismissed.v1.json").write_text("{}")
    main([], tmp_path)
    assert stale_files(tmp_path, schema_files(CATALOGUE)) == []


def test_envelope_and_each_type_version_have_a_schema() -> None:
    assert set(SCHEMAS) == {"envelope.json"} | {f"{name}.v{version}.json" for name, version in NAMES}


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema_resolves_without_other_files(name: str) -> None:
    schema = generated(name)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"].startswith("urn:switchyard:")
    for reference in references(schema):
        assert resolved(schema, reference)


@pytest.mark.parametrize("name", [*SCHEMAS, "asyncapi.json"])
def test_contracts_contain_no_float(name: str) -> None:
    document = generated(name)
    schemas = document["components"]["schemas"].values() if name == "asyncapi.json" else [document]
    for schema in schemas:
        for part in subschemas(schema):
            assert "number" not in (part["type"] if isinstance(part.get("type"), list) else [part.get("type")])
            # A schema that asserts nothing would let a float in.
            assert ASSERTIONS & part.keys(), part


@pytest.mark.parametrize("name", SCHEMAS)
def test_integers_are_bounded_within_two_to_the_53(name: str) -> None:
    for part in subschemas(generated(name)):
        if part.get("type") == "integer":
            assert -(2**53) < part["minimum"] <= part["maximum"] < 2**53


@pytest.mark.parametrize("name", SCHEMAS)
def test_patterns_use_only_portable_syntax(name: str) -> None:
    for part in subschemas(generated(name)):
        for pattern in [part["pattern"]] if "pattern" in part else []:
            assert pattern.startswith("^")
            assert pattern.endswith("$")
            # Rust's \d and \w know all of Unicode, ECMAScript's only ASCII.
            assert not re.search(r"\\[dDwWsSbB]", pattern)


def test_asyncapi_document_is_valid_for_another_reader() -> None:
    read = ApplicationSchema.model_validate(generated("asyncapi.json"))
    assert read.asyncapi == "3.0.0"
    assert set(read.channels) == {"bus", *CATALOGUE.nodes}


def test_asyncapi_references_resolve() -> None:
    document = build_asyncapi(CATALOGUE)
    found = list(references(document))
    assert len(found) > 100
    for reference in found:
        assert resolved(document, reference)


def test_operation_names_only_messages_of_its_channel() -> None:
    document = build_asyncapi(CATALOGUE)
    for operation in document["operations"].values():
        channel = operation["channel"]["$ref"]
        assert all(message["$ref"].startswith(f"{channel}/messages/") for message in operation["messages"])


def test_queue_is_a_channel_with_its_dead_letter_queue() -> None:
    channels = generated("asyncapi.json")["channels"]
    for consumer in consumers():
        binding = channels[consumer.node]["bindings"]["sqs"]
        assert channels[consumer.node]["address"] == binding["queue"]["name"] == consumer.queue
        assert binding["queue"]["redrivePolicy"]["deadLetterQueue"]["name"] == consumer.dead_letter_queue
        assert binding["deadLetterQueue"]["name"] == consumer.dead_letter_queue


def test_type_has_a_sender_and_a_receiver() -> None:
    document = generated("asyncapi.json")
    assert set(document["components"]["messages"]) == {f"{name}.v{version}" for name, version in NAMES}
    assert set(document["channels"]["bus"]["messages"]) == set(document["components"]["messages"])
    for message in document["components"]["messages"].values():
        assert message["x-flows"]


def test_asyncapi_flows_and_rules_equal_the_catalogue() -> None:
    document = generated("asyncapi.json")
    for type_ in CATALOGUE.types:
        flows = document["components"]["messages"][f"{type_.name}.v{type_.version}"]["x-flows"]
        assert [(flow["from"], flow["to"]) for flow in flows] == list(type_.flows)
    assert [node for node in document["channels"] if node != "bus"] == list(CATALOGUE.nodes)
    for consumer in consumers():
        rules = document["channels"][consumer.node]["x-rules"]
        assert [(each["name"], each["pattern"]) for each in rules] == [
            (each.name, each.pattern) for each in consumer.rules
        ]


def test_digest_vectors_are_at_least_25() -> None:
    assert len(VECTORS["accepted"]) >= 25
    assert len(VECTORS["refused"]) >= 25
    assert VECTORS["not_content"] == sorted(UNDIGESTED_FIELDS)
    names = [vector["name"] for vector in VECTORS["accepted"] + VECTORS["refused"]]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("vector", [pytest.param(vector, id=vector["name"]) for vector in VECTORS["accepted"]])
def test_digest_vector_holds(vector: Json) -> None:
    read = parse_json(vector["text"])
    content = {name: value for name, value in read.items() if name not in UNDIGESTED_FIELDS}
    assert canonical_json(content).decode() == rfc8785.dumps(content).decode() == vector["canonical"]
    assert hashlib.sha256(vector["canonical"].encode()).hexdigest() == vector["sha256"] == event_digest(read)


@pytest.mark.parametrize("vector", [pytest.param(vector, id=vector["name"]) for vector in VECTORS["refused"]])
def test_invalid_text_is_rejected(vector: Json) -> None:
    with pytest.raises(InvalidEvent) as caught:
        parse_json(vector["text"])
    assert caught.value.message.partition(" at line ")[0] == vector["why"]
