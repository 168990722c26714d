"""Order and cycles of the dependency graph, against a naive oracle."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.core.graph import dependents_of, find_cycle, topological_order

Graph = list[set[int]]


@st.composite
def acyclic(draw: st.DrawFn) -> Graph:
    """Dependencies along a random ranking of the positions, which need not be that of the list."""
    n = draw(st.integers(0, 12))
    rank = draw(st.permutations(range(n)))
    pairs = draw(st.sets(st.tuples(st.integers(0, max(n - 1, 0)), st.integers(0, max(n - 1, 0))))) if n else set()
    return [{need for step, need in pairs if step == at and rank[need] < rank[at]} for at in range(n)]


@st.composite
def any_graph(draw: st.DrawFn) -> Graph:
    n = draw(st.integers(0, 8))
    return [draw(st.sets(st.integers(0, n - 1))) for _ in range(n)]


def naive_order(needs: Graph) -> list[int]:
    done: list[int] = []
    while len(done) < len(needs):
        done.append(min(at for at in range(len(needs)) if at not in done and needs[at] <= set(done)))
    return done


def naive_has_cycle(needs: Graph) -> bool:
    left = set(range(len(needs)))
    while free := {at for at in left if not needs[at] & left}:
        left -= free
    return bool(left)


@given(acyclic())
def test_the_order_is_that_of_serial_execution_taking_the_first_ready_step(needs: Graph) -> None:
    assert topological_order(len(needs), needs) == naive_order(needs)


@given(any_graph())
def test_a_cycle_is_found_exactly_when_there_is_one_and_it_is_one(needs: Graph) -> None:
    cycle = find_cycle(len(needs), needs)
    assert bool(cycle) == naive_has_cycle(needs)
    assert len(set(cycle)) == len(cycle)
    assert all(after in needs[at] for at, after in zip(cycle, cycle[1:] + cycle[:1], strict=True))
    assert not cycle or cycle[0] == min(cycle)


@given(any_graph())
def test_dependents_are_the_dependencies_turned_round(needs: Graph) -> None:
    turned = dependents_of(len(needs), needs)
    assert turned == [sorted(step for step in range(len(needs)) if at in needs[step]) for at in range(len(needs))]


def test_ties_go_by_the_list() -> None:
    assert topological_order(5, [[4], [], [0], [], []]) == [1, 3, 4, 0, 2]


def test_a_dependency_named_twice_counts_once() -> None:
    assert topological_order(2, [[1, 1], []]) == [1, 0]


def test_an_order_of_a_cycle_is_refused() -> None:
    with pytest.raises(ValueError, match="cycle"):
        topological_order(3, [[1], [0], []])


def test_a_chain_of_ten_thousand_needs_no_recursion() -> None:
    n = 10_000
    chain = [[at + 1] if at + 1 < n else [] for at in range(n)]
    assert topological_order(n, chain) == list(reversed(range(n)))
    assert find_cycle(n, chain) == []
    chain[-1] = [0]
    assert find_cycle(n, chain) == list(range(n))


def test_a_dense_graph_is_searched_once() -> None:
    chance = random.Random(7)
    n = 2_000
    needs = [sorted(chance.sample(range(at), min(at, 100))) for at in range(n)]
    assert topological_order(n, needs) == list(range(n))
    assert find_cycle(n, needs) == []
