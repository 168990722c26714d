"""The dependency graph of a spec, as positions in its list of steps: order and cycles, without recursion."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from heapq import heapify, heappop, heappush


def topological_order(n: int, dependencies: Sequence[Collection[int]]) -> list[int]:
    """The order in which serial execution takes steps 0 to `n`-1: always the lowest one whose dependencies are done.

    `dependencies[i]` holds the positions that position i waits for. Among all topological orders this is the
    lexicographically smallest (Kahn 1962, with a heap): n log n. Raises ValueError when there is a cycle.
    """
    waiting = [len(set(needs)) for needs in dependencies]
    dependents = dependents_of(n, dependencies)
    ready = [step for step in range(n) if not waiting[step]]
    heapify(ready)
    order: list[int] = []
    while ready:
        step = heappop(ready)
        order.append(step)
        for dependent in dependents[step]:
            waiting[dependent] -= 1
            if not waiting[dependent]:
                heappush(ready, dependent)
    if len(order) < n:
        raise ValueError("the dependencies form a cycle")
    return order


def dependents_of(n: int, dependencies: Sequence[Collection[int]]) -> list[list[int]]:
    """The arrows turned round: for each position those that wait for it, ascending, each once."""
    dependents: list[list[int]] = [[] for _ in range(n)]
    for step, needs in enumerate(dependencies):
        for need in set(needs):
            dependents[need].append(step)
    return dependents


def find_cycle(n: int, dependencies: Sequence[Collection[int]]) -> list[int]:
    """One cycle, each position followed by one that it waits for, the last waiting for the first; [] if there is none.

    It begins with its lowest position. Depth first from position 0 upwards: the same cycle every time, in linear time.
    """
    finished = [False] * n
    for start in range(n):
        if finished[start]:
            continue
        path: list[int] = [start]
        branches: list[Iterator[int]] = [iter(dependencies[start])]
        depth_of: dict[int, int] = {start: 0}
        while branches:
            need = next(branches[-1], None)
            if need is None:
                branches.pop()
                done = path.pop()
                finished[done] = True
                del depth_of[done]
            elif need in depth_of:
                return _from_lowest(path[depth_of[need] :])
            elif not finished[need]:
                depth_of[need] = len(path)
                path.append(need)
                branches.append(iter(dependencies[need]))
    return []


def _from_lowest(cycle: list[int]) -> list[int]:
    start = cycle.index(min(cycle))
    return cycle[start:] + cycle[:start]
