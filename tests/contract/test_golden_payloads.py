"""A golden event of every version ever shipped must be read by today's contracts. See docs/build/contracts.md."""

from __future__ import annotations

import base64
import hashlib
import json
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import ValidationError

from contracts.catalogue import CATALOGUE
from contracts.events.upstream import CaseSubmitted
from switchyard.protocol.canonical import parse_json
from switchyard.protocol.catalogue import UPSTREAM_PREFIX
from switchyard.protocol.digest import event_digest
from switchyard.protocol.envelope import SOURCE_PREFIX, event_id_for, serialize_detail
from switchyard.protocol.fields import Json
from switchyard.protocol.principals import PRINCIPAL_ALGORITHM, PRINCIPAL_TOKEN_TYPE, submission_digest
from switchyard.protocol.received import check_addressed, read_envelope, read_payload
from tests.reference import find_event_type

GOLDEN = Path(__file__).parent / "golden"
MANIFEST = GOLDEN / "SHA256SUMS"
FILES = sorted(GOLDEN.glob("*.json"))
SUBMISSION = GOLDEN / "CaseSubmitted.v1.json"
NAMES = [(type_.name, type_.version) for type_ in CATALOGUE.types]
UPSTREAM = {f"{type_.name}.v{type_.version}": type_.payload for type_ in CATALOGUE.types_emitted_by(UPSTREAM_PREFIX)}
"""What upstream sends has no envelope."""


def shows(path: Path) -> str:
    """The type and version that a file shows; a third part of its name says what is particular about it."""
    return ".".join(path.stem.split(".")[:2])


each_event = pytest.mark.parametrize(
    "path", [pytest.param(path, id=path.stem) for path in FILES if shows(path) not in UPSTREAM]
)


def read(path: Path) -> Json:
    return parse_json(path.read_bytes())


def test_golden_events_and_type_versions_correspond() -> None:
    assert {shows(path) for path in FILES} == {f"{name}.v{version}" for name, version in NAMES}


def test_golden_event_is_unchanged_since_its_commit() -> None:
    lines = [line.split("  ", 1) for line in MANIFEST.read_text().splitlines()]
    listed = {name: sha256 for sha256, name in lines}
    there = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in FILES}
    assert there == listed, "a released event was altered; for a new version add a file and a line to SHA256SUMS"


@each_event
def test_golden_event_has_a_valid_digest(path: Path) -> None:
    event = read(path)
    assert event["digest"] == event_digest(event)


@each_event
def test_golden_event_passes_the_checks_of_its_consumer(path: Path) -> None:
    event = read(path)
    body = {"source": SOURCE_PREFIX + event["node_from"], "detail-type": event["type"], "detail": event}
    envelope, raw = read_envelope(json.dumps(body))
    type_ = find_event_type(envelope)
    check_addressed(envelope, type_, envelope.node_to)
    assert type(read_payload(type_, raw)) is type_.payload


@each_event
def test_golden_payload_shows_every_field(path: Path) -> None:
    event = read(path)
    type_ = CATALOGUE.find(event["type"], event["version"])
    assert type_ is not None
    model = type_.payload
    assert event["payload"].keys() <= model.model_fields.keys()
    assert {name for name, field in model.model_fields.items() if field.is_required()} <= event["payload"].keys()


@each_event
def test_golden_artefact_hash_is_of_the_carried_bytes(path: Path) -> None:
    event = read(path)
    text = json.dumps(event["payload"]) + json.dumps(event.get("state"))
    assert all(sha256 in text for sha256 in event["storage_refs"])


@each_event
def test_golden_event_is_within_the_limit_of_the_bus(path: Path) -> None:
    assert json.loads(serialize_detail(read(path))) == read(path)


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in FILES if shows(path) in UPSTREAM])
def test_upstream_submission_is_read_by_its_contract(path: Path) -> None:
    text = path.read_bytes()
    read = UPSTREAM[shows(path)].model_validate_json(text)
    assert read.model_dump(mode="json", exclude_unset=True) == json.loads(text)


def test_submission_with_misspelt_field_is_rejected() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        CaseSubmitted.model_validate(read(SUBMISSION) | {"quesion": "?"})


def test_golden_events_of_the_answered_case_are_one_chain() -> None:
    chain = (
        "CaseOpened",
        "ChooseAgent",
        "AgentChosen",
        "AnswerQuestion",
        "FindingsReady",
        "DraftAnswer",
        "AnswerDrafted",
        "CloseCase",
        "CaseClosed",
    )
    events = [read(GOLDEN / f"{name}.v1.json") for name in chain]
    assert events[0]["parents"] == []
    for cause, event in pairwise(events):
        assert event["parents"] == [cause["digest"]]
        assert event["seq"] == cause["seq"] + 1
        assert event["event_id"] == event_id_for(cause["event_id"], event["node_from"], event["type"])


def test_golden_statement_matches_golden_submission_and_key() -> None:
    submission, opened = (
        read(GOLDEN / f"{name}.json") for name in ("CaseSubmitted.v1.signed", "CaseOpened.v1.attested")
    )
    statement, attested = submission["principal"], opened["payload"]["attested"]
    head, body, _ = (base64.urlsafe_b64decode(part + "==") for part in statement.split("."))
    assert parse_json(head) == {"alg": PRINCIPAL_ALGORITHM, "kid": attested["kid"], "typ": PRINCIPAL_TOKEN_TYPE}
    assert parse_json(body)["submission"] == submission_digest(submission)
    assert hashlib.sha256(statement.encode()).hexdigest() == attested["statement_sha256"]
