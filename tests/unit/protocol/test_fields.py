"""Shapes that more than one event has."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from switchyard.protocol.errors import MAX_FIELD_CHARS, InvalidEvent, RejectionReason, safe_field_name
from switchyard.protocol.fields import Contract, Day, Identifier, Sha256, StorageRef, Timestamp, Uuid


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        (Day, "2026-07-01"),
        (Day, "2028-02-29"),
        (Timestamp, "2026-07-01T08:00:00Z"),
        (Timestamp, "2026-07-01T23:59:59.123456Z"),
        (Timestamp, "2026-07-01T23:59:59.1Z"),
        (Identifier, "user:9a0f/x"),
    ],
)
def test_field_accepts_a_valid_text(shape: Any, text: str) -> None:
    assert TypeAdapter(shape).validate_python(text) == text


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        (Day, "2026-02-30"),
        (Day, "2026-13-01"),
        (Day, "0000-01-01"),
        (Day, "2026-7-1"),
        (Day, "2026-07-01\n"),
        (Day, "\u0662\u0660\u0662\u0666-\u0660\u0661-\u0660\u0661"),
        (Timestamp, "2026-07-01T24:00:00Z"),
        (Timestamp, "2026-07-01T08:60:00Z"),
        (Timestamp, "2026-07-01T08:00:60Z"),
        (Timestamp, "2026-07-01T08:00:00"),
        (Timestamp, "2026-07-01T08:00:00+00:00"),
        (Timestamp, "2026-07-01T08:00:00.1234567Z"),
        (Timestamp, "2026-07-01 08:00:00Z"),
        (Identifier, ""),
        (Identifier, "two words"),
        (Identifier, "caf\u00e9"),
        (Identifier, "x" * 201),
        (Uuid, "9A0F2F0C-5D0E-4C55-8D5E-6F1F6B0A7C21"),
        (Uuid, "{9a0f2f0c-5d0e-4c55-8d5e-6f1f6b0a7c21}"),
        (Sha256, "0" * 63),
        (Sha256, "A" * 64),
    ],
)
def test_field_refuses_an_invalid_text_without_quoting_it(shape: Any, text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(shape).validate_python(text)
    assert not text or text not in caught.value.errors(include_input=False)[0]["msg"]


@pytest.mark.parametrize("places", [{}, {"inline": "AA==", "uri": "s3://b/k"}, {"inline": "A" * 21_849}])
def test_storage_ref_outside_one_place_or_limit_is_refused(places: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        StorageRef(**places)


@pytest.mark.parametrize("places", [{"inline": ""}, {"inline": "A" * 21_848}, {"uri": "s3://b/k"}])
def test_storage_ref_is_inline_or_stored(places: dict[str, str]) -> None:
    assert StorageRef(**places).model_dump(exclude_none=True) == places


def test_contract_is_frozen_strict_and_ignores_unknown_fields() -> None:
    class Example(Contract):
        count: int

    example = Example.model_validate({"count": 1, "added_later": 2})
    assert example.model_dump() == {"count": 1}
    with pytest.raises(ValidationError, match="frozen"):
        example.count = 2  # type: ignore[misc]
    with pytest.raises(ValidationError, match="valid integer"):
        Example.model_validate({"count": "1"})


def test_invalid_event_text_has_kind_field_and_remedy() -> None:
    rejection = InvalidEvent(RejectionReason.INVALID, "field required", field="payload.question", remedy="send it")
    assert str(rejection) == "invalid: field required (field payload.question). Remedy: send it"


def test_invalid_event_field_is_cut_to_its_limit() -> None:
    assert len(InvalidEvent(RejectionReason.INVALID, "extra", field="x" * 500).field or "") == MAX_FIELD_CHARS


@pytest.mark.parametrize("name", ["user_id", "detail-type", "0", "[key]", "a" * 64])
def test_safe_field_name_keeps_plain_names(name: str) -> None:
    assert safe_field_name(name) == name


@pytest.mark.parametrize("name", ["", "dana@acme.example", "two words", "a.b", "x\n", "\u00e9", "a" * 65])
def test_safe_field_name_hides_names_that_may_be_personal(name: str) -> None:
    assert safe_field_name(name) == "(name)"
