"""Strict reading and canonical writing."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import Any

import pytest
import rfc8785
from hypothesis import assume, given
from hypothesis import strategies as st

from switchyard.app.application import resource_path
from switchyard.protocol.canonical import (
    MAX_EVENT_DEPTH,
    MAX_JSON_DEPTH,
    MAX_SAFE_INTEGER,
    canonical_json,
    check_storable,
    parse_foreign_json,
    parse_json,
)
from switchyard.protocol.errors import InvalidEvent, RejectionReason
from tests.unit.protocol.json_values import awkward_names, objects, texts

VECTORS: dict[str, Any] = json.loads(resource_path("switchyard.protocol:digest-vectors.json").read_text())


def inputs(kind: str) -> list[Any]:
    return [pytest.param(vector["text"], id=vector["name"]) for vector in VECTORS[kind]]


@given(objects)
def test_canonical_form_equals_the_reference_librarys(value: dict[str, Any]) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)


@given(st.dictionaries(awkward_names, st.none(), min_size=4))
def test_names_are_sorted_by_utf16_code_unit(value: dict[str, Any]) -> None:
    written = [name for name, _ in json.loads(canonical_json(value), object_pairs_hook=list)]
    assert written == sorted(value, key=lambda name: name.encode("utf-16-be"))


@given(objects)
def test_canonical_form_reads_back_as_the_same_object(value: dict[str, Any]) -> None:
    assert parse_json(canonical_json(value)) == value


@given(objects, st.booleans(), st.sampled_from([None, 0, 3, "\t"]))
def test_parse_equals_the_standard_librarys(value: dict[str, Any], escaped: bool, indent: Any) -> None:
    text = json.dumps(value, ensure_ascii=escaped, indent=indent)
    assert parse_json(text) == parse_json(text.encode()) == value


@pytest.mark.parametrize("text", inputs("accepted"))
def test_parse_equals_json_loads_for_accepted_texts(text: str) -> None:
    assert parse_json(text) == json.loads(text)


@pytest.mark.parametrize("text", inputs("refused"))
@pytest.mark.parametrize("encoded", [False, True], ids=["text", "bytes"])
def test_parse_of_a_refused_text_is_malformed_with_a_remedy(text: str, encoded: bool) -> None:
    with pytest.raises(InvalidEvent) as caught:
        parse_json(text.encode() if encoded else text)
    assert caught.value.reason is RejectionReason.MALFORMED
    assert caught.value.remedy


def test_parse_refuses_bytes_that_are_not_utf8() -> None:
    with pytest.raises(InvalidEvent, match="not UTF-8"):
        parse_json(b'{"a":"\xff"}')


def test_parse_of_an_unescaped_lone_surrogate_is_refused() -> None:
    with pytest.raises(InvalidEvent, match="no UTF-8 form"):
        parse_json('{"a":"\ud83d"}')


@given(objects, texts, st.floats())
def test_parse_refuses_a_float_at_any_place(value: dict[str, Any], name: str, number: float) -> None:
    text = json.dumps({"first": value, "then": [{name: number}]})
    with pytest.raises(InvalidEvent, match="fraction"):
        parse_json(text)


@given(st.one_of(st.integers(min_value=MAX_SAFE_INTEGER + 1), st.integers(max_value=-MAX_SAFE_INTEGER - 1)))
def test_parse_refuses_an_integer_beyond_two_to_the_53(number: int) -> None:
    with pytest.raises(InvalidEvent, match="beyond"):
        parse_json(json.dumps({"n": number}))


@given(objects, texts)
def test_parse_of_a_repeated_name_is_refused_without_quoting_it(value: dict[str, Any], name: str) -> None:
    members = [f"{json.dumps(name)}:{json.dumps(item)}" for item in (1, value)]
    with pytest.raises(InvalidEvent, match="twice") as caught:
        parse_json('{"outer":{' + ",".join(members) + "}}")
    assert caught.value.field in {name, "(name)"}


@given(st.one_of(st.text(), st.binary(), st.from_regex(r'[\[\]{}":,0-9eE.\\u+-]{0,30}')))
def test_parse_raises_nothing_but_its_own_error(text: str | bytes) -> None:
    # Any other error would leave `suppress`, and fail the test.
    with suppress(InvalidEvent):
        assert isinstance(parse_json(text), dict)


def test_brackets_inside_text_are_no_nesting() -> None:
    assert parse_json(json.dumps({"s": "[{" * MAX_JSON_DEPTH})) == {"s": "[{" * MAX_JSON_DEPTH}


def test_many_shallow_objects_are_no_nesting() -> None:
    rows = {"rows": [{"n": number} for number in range(1_000)]}
    assert parse_json(json.dumps(rows)) == rows


def nested(depth: int) -> dict[str, Any]:
    """So many objects within each other."""
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


def test_written_text_wrapped_by_the_bus_is_readable() -> None:
    deepest = nested(MAX_EVENT_DEPTH)
    check_storable(deepest)
    assert parse_json(json.dumps({"detail": deepest}))


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ({"a": {"b": [1, 0.5]}}, "float"),
        ({"a": {"b": [1, math.nan]}}, "float"),
        ({"a": {"b": [1, 2**53]}}, "beyond"),
        ({"a": {"b": [1, "x\x00"]}}, "NUL"),
        ({"a": {"b": [1, "x\ud800"]}}, "UTF-8"),
        ({"a": {"b": [1, b"x"]}}, "bytes"),
        ({"a": {"b": [1, {2}]}}, "set"),
    ],
)
def test_unstorable_value_is_refused_with_its_place(value: Any, what: str) -> None:
    with pytest.raises(InvalidEvent, match=what) as caught:
        check_storable(value)
    assert caught.value.field == "a.b[1]"


@pytest.mark.parametrize(
    ("value", "what"),
    [({1: 2}, "not a string"), ({"x\x00": 1}, "NUL"), ({"\ud800": 1}, "UTF-8"), (nested(61), "deeply")],
)
def test_unstorable_names_and_nesting_are_refused(value: Any, what: str) -> None:
    with pytest.raises(InvalidEvent, match=what):
        check_storable(value)


@given(objects)
def test_parsed_value_can_be_stored(value: dict[str, Any]) -> None:
    check_storable(parse_json(json.dumps(value)))


@given(objects, objects)
def test_different_objects_have_different_canonical_forms(one: dict[str, Any], other: dict[str, Any]) -> None:
    assume(one != other)
    assert canonical_json(one) != canonical_json(other)


def test_canonical_forms_of_true_and_one_differ() -> None:
    assert canonical_json({"a": True}) != canonical_json({"a": 1})


def test_canonical_refuses_a_lone_surrogate() -> None:
    for value in ({"a": "\ud800"}, {"\udc00": "a"}):
        with pytest.raises(InvalidEvent, match="UTF-8"):
            canonical_json(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1.5, "b": [NaN, Infinity]}', {"a": 1.5, "b": [None, None]}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ('\ufeff{"a": "\\u0000\\ud800"}', {"a": "\ufffd\ufffd"}),
        ('{"a": "\x00\ttab"}', {"a": "\ufffd\ttab"}),
        ('{"a": 123456789012345678901234567890}', {"a": 123456789012345678901234567890}),
        ('{"a": ' + "9" * 5_000 + "}", {"a": math.inf}),
        ("[" * MAX_JSON_DEPTH + "]" * MAX_JSON_DEPTH, None),
        (b'{"a": "\xff"}', {"a": "\ufffd"}),
    ],
)
def test_parse_foreign_json_accepts_any_valid_json(text: str | bytes, value: Any) -> None:
    assert parse_foreign_json(text) == (value if value is not None else json.loads(text))


@pytest.mark.parametrize("text", ["", "<html>", "[" * (MAX_JSON_DEPTH + 1), '{"a":' * 5_000, "{} {}"])
def test_parse_foreign_json_refuses_invalid_json(text: str) -> None:
    with pytest.raises(InvalidEvent):
        parse_foreign_json(text)


@pytest.mark.parametrize("levels", [MAX_JSON_DEPTH, MAX_JSON_DEPTH + 1])
def test_depth_is_counted_outside_of_strings(levels: int) -> None:
    text = '{"a":"' + '[{\\"' * 1_000 + '","b":' + "[" * (levels - 1) + "]" * (levels - 1) + "}"
    if levels <= MAX_JSON_DEPTH:
        assert len(parse_json(text)["a"]) == 3_000
    else:
        with pytest.raises(InvalidEvent, match="nested"):
            parse_json(text)
