"""The digest is of the content, and of nothing else."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from switchyard.protocol.canonical import parse_json
from switchyard.protocol.digest import UNDIGESTED_FIELDS, event_digest
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.fields import Json
from tests.unit.protocol.bus_events import golden, with_digest
from tests.unit.protocol.json_values import objects, reordered, texts, values

EVENT = golden("AnswerDrafted")
CONTENT = sorted(EVENT.keys() - UNDIGESTED_FIELDS)


@given(objects, st.randoms(use_true_random=False))
def test_digest_ignores_the_order_of_names(event: Json, chance: random.Random) -> None:
    assert event_digest(reordered(event, chance)) == event_digest(event)


@given(objects, st.booleans(), st.sampled_from([None, 0, 1, "\t"]))
def test_digest_of_another_json_writer_is_the_same(event: Json, escaped: bool, indent: Any) -> None:
    rewritten = json.dumps(event, ensure_ascii=escaped, indent=indent)
    assert event_digest(parse_json(rewritten)) == event_digest(event)


@given(texts, values)
def test_digest_covers_unknown_fields(name: str, value: Any) -> None:
    assume(name not in EVENT and name not in UNDIGESTED_FIELDS)
    assert event_digest(EVENT | {name: value}) != EVENT["digest"]


@given(texts, values)
def test_digest_covers_unknown_fields_of_the_payload(name: str, value: Any) -> None:
    assume(name not in EVENT["payload"])
    assert event_digest(EVENT | {"payload": EVENT["payload"] | {name: value}}) != EVENT["digest"]


def test_digest_is_of_the_object_as_received() -> None:
    extended = with_digest(EVENT | {"added_in_a_later_version": {"kept": True}})
    dumped = Envelope.model_validate_json(json.dumps(extended)).model_dump(mode="json", exclude_none=True)
    assert event_digest(extended) == extended["digest"]
    assert event_digest(dumped) != extended["digest"]


@pytest.mark.parametrize("field", CONTENT)
@settings(max_examples=20)
@given(value=values)
def test_digest_changes_with_a_field(field: str, value: Any) -> None:
    assume(json.dumps(value, sort_keys=True) != json.dumps(EVENT[field], sort_keys=True))
    assert event_digest(EVENT | {field: value}) != EVENT["digest"]


@pytest.mark.parametrize("field", CONTENT)
def test_digest_changes_without_a_field(field: str) -> None:
    assert event_digest({name: value for name, value in EVENT.items() if name != field}) != EVENT["digest"]


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of every scalar below `value`."""
    if isinstance(value, dict):
        return [leaf for name, item in value.items() for leaf in leaves(item, (*path, name))]
    if isinstance(value, list):
        return [leaf for index, item in enumerate(value) for leaf in leaves(item, (*path, index))]
    return [path]


def test_digest_changes_with_each_scalar_at_any_depth() -> None:
    content = {name: EVENT[name] for name in CONTENT}
    for path in leaves(content):
        spoilt = copy.deepcopy(content)
        place: Any = spoilt
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = "another"
        assert event_digest(spoilt) != EVENT["digest"], path


@pytest.mark.parametrize("field", sorted(UNDIGESTED_FIELDS))
@given(value=values)
def test_digest_ignores_undigested_fields(field: str, value: Any) -> None:
    assert event_digest(EVENT | {field: value}) == EVENT["digest"]


@pytest.mark.parametrize("field", sorted(UNDIGESTED_FIELDS))
def test_digest_covers_undigested_names_inside_the_payload(field: str) -> None:
    assert event_digest(EVENT | {"payload": EVENT["payload"] | {field: "x"}}) != EVENT["digest"]


def test_undigested_fields_are_the_documented_ones() -> None:
    assert sorted(UNDIGESTED_FIELDS) == ["digest", "occurred_at", "state_seal", "storage_refs", "trace"]
