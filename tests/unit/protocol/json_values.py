"""Every JSON value that an event may contain, with a liking for what sorts differently in UTF-8 and in UTF-16."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import strategies as st

from switchyard.protocol.canonical import MAX_SAFE_INTEGER

_AWKWARD = '\ud7ff\ue000\ufb33\ufffd\uffff\U00010000\U0001f600\U0010ffff\u2028\x7f\x80\x01\x1f"\\/\b\n'

characters = st.one_of(
    st.sampled_from(_AWKWARD), st.characters(exclude_categories=["Cs"], exclude_characters="\x00", codec="utf-8")
)
texts = st.text(characters, max_size=12)
awkward_names = st.text(st.sampled_from(_AWKWARD), max_size=3)
integers = st.one_of(
    st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER), st.sampled_from([0, MAX_SAFE_INTEGER, -MAX_SAFE_INTEGER])
)
values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), integers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=5)),
    max_leaves=12,
)
objects: st.SearchStrategy[dict[str, Any]] = st.dictionaries(texts, values, max_size=6)


def reordered(value: Any, chance: random.Random) -> Any:
    """The same value with the members of every object in another order."""
    if isinstance(value, list):
        return [reordered(item, chance) for item in value]
    if not isinstance(value, dict):
        return value
    members = [(name, reordered(item, chance)) for name, item in value.items()]
    chance.shuffle(members)
    return dict(members)
