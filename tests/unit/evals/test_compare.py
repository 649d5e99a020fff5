from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.compare import same_result, same_value

Table = list[tuple[Any, ...]]


@pytest.mark.parametrize(
    ("gold", "found"),
    [
        ([("a", 1), ("b", 2)], [("b", 2), ("a", 1)]),
        ([("a", "1.0000001")], [("a", 1)]),
        ([("a", 1)], [(1, "a")]),
        ([("a",)], [("a", "more")]),
        ([], []),
        ([], [("x",)][:0]),
        ([(None,)], [(None,)]),
        ([("2.50",)], [("2.5",)]),
        ([(1, 2), (2, 1)], [(2, 1), (1, 2)]),
    ],
)
def test_equal_results_match(gold: Table, found: Table) -> None:
    assert same_result(gold, found, ordered=False)


@pytest.mark.parametrize(
    ("gold", "found"),
    [
        ([("a", 1)], [("a", 2)]),
        ([("a", 1)], [("a", "1.00001")]),
        ([("a",), ("a",)], [("a",)]),
        ([("a",), ("a",), ("b",)], [("a",), ("b",), ("b",)]),
        ([("a", "x")], [("a",)]),
        ([(None,)], [("None",)]),
        ([(None,)], [(0,)]),
        ([(True,)], [(1,)]),
        ([], [("a",)]),
        # Each column alone agrees, the rows do not.
        ([(1, "x"), (2, "y")], [(1, "y"), (2, "x")]),
    ],
)
def test_different_results_do_not_match(gold: Table, found: Table) -> None:
    assert not same_result(gold, found, ordered=False)


def test_order_counts_only_if_the_gold_orders() -> None:
    gold, found = [("a",), ("b",)], [("b",), ("a",)]
    assert same_result(gold, found, ordered=False)
    assert not same_result(gold, found, ordered=True)


cells = st.one_of(st.none(), st.integers(-5, 5), st.sampled_from(["a", "b", "1.5", "2026-06-01"]))
tables = st.integers(1, 3).flatmap(lambda width: st.lists(st.tuples(*[cells] * width), min_size=1, max_size=6))


@given(tables, st.randoms())
def test_shuffled_rows_and_columns_are_the_same_answer(table: Table, random: Any) -> None:
    rows, columns = list(table), list(range(len(table[0])))
    random.shuffle(rows)
    random.shuffle(columns)
    assert same_result(table, [tuple(row[column] for column in columns) for row in rows], ordered=False)


@given(tables)
def test_result_with_one_row_more_or_less_differs(table: Table) -> None:
    assert not same_result(table, [*table, table[0]], ordered=False)
    assert not same_result(table, table[1:], ordered=False)


@given(cells, cells)
def test_comparison_of_values_is_symmetric(left: Any, right: Any) -> None:
    assert same_value(left, right) is same_value(right, left)
