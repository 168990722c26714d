"""The graph of a run as it really ran: its steps in layers, like ones folded together where there are many."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ...core.code_state import CodeState
from ...core.paths import order_of
from ...core.results import StepResult
from ...core.run_state import RunState
from ...core.spec_state import SpecState
from ...core.step_events import StepIndex

MAX_NODES = 60
"""Above so many steps, those of one layer, skill and status become one node."""

MAX_LAYERS = 40
"""Above so many layers, those in the middle become one node."""

Needs = Mapping[StepIndex, Sequence[StepIndex]]
"""The steps that each step comes after; they come before it in the mapping."""


def graph_model(state: RunState, steps: Sequence[StepResult]) -> dict[str, Any]:
    """`nodes` (each with its layer, and how many steps it stands for) and `edges` between their numbers."""
    needs = needs_of(state, steps)
    layers = _layers(needs)
    number_of: dict[StepIndex, int] = {}
    nodes: list[dict[str, Any]] = []
    for layer, group in _groups(steps, layers):
        number_of |= {step.index: len(nodes) for step in group}
        first = group[0]
        skills = {step.skill_id for step in group}
        nodes.append(
            {
                "layer": layer,
                "label": first.step_id if len(group) == 1 else f"{len(group)} steps",
                "skill": first.skill_id if len(skills) == 1 else f"{len(skills)} skills",
                "status": _status_of(group, state),
                "count": len(group),
                "first": first.step_id,
            }
        )
    edges: set[tuple[int, int]] = set()
    seen: dict[int, set[int]] = {}
    for index, befores in needs.items():
        # What ends a wide gather is one tuple, shared by all that come after it.
        sources = seen.setdefault(id(befores), {number_of[each] for each in befores if each in number_of})
        edges |= {(source, number_of[index]) for source in sources if index in number_of}
    return {"nodes": nodes, "edges": sorted([a, b] for a, b in edges if a != b), "steps": len(steps)}


def needs_of(state: RunState, steps: Sequence[StepResult]) -> Needs:
    """What each step came after: of a spec, its dependencies; of a function, the calls before it in its branch."""
    if isinstance(state, SpecState):
        return {step.index: step.dependencies for step in state.plan.steps}
    return _Calls([str(step.index) for step in steps]).needs() if isinstance(state, CodeState) else {}


class _Calls:
    """The calls of a function by their paths: a branch numbers what it awaits, calls and gathers of branches."""

    def __init__(self, paths: Sequence[str]):
        self._paths = {order_of(path): path for path in paths}
        numbers: defaultdict[tuple[int, ...], set[int]] = defaultdict(set)
        branches: defaultdict[tuple[int, ...], set[int]] = defaultdict(set)
        for parts in self._paths:
            for length in range(len(parts), 0, -2):
                numbers[parts[: length - 1]].add(parts[length - 1])
                if length > 1:
                    branches[parts[: length - 2]].add(parts[length - 2])
        self._numbers = {branch: sorted(found) for branch, found in numbers.items()}
        self._branches = {gather: sorted(found) for gather, found in branches.items()}
        self._ends: dict[tuple[int, ...], tuple[str, ...]] = {}

    def needs(self) -> Needs:
        """The first call of a branch comes after what is before its gather."""
        return {path: self._before(parts) for parts, path in sorted(self._paths.items())}

    def _before(self, parts: tuple[int, ...]) -> tuple[str, ...]:
        for length in range(len(parts), 0, -2):
            branch, number = parts[: length - 1], parts[length - 1]
            at = bisect_left(self._numbers[branch], number)
            if at:
                return self._ends_of((*branch, self._numbers[branch][at - 1]))
        return ()

    def _ends_of(self, parts: tuple[int, ...]) -> tuple[str, ...]:
        """The calls that end what stands there: the call itself, or the last ones of a gather's branches."""
        if parts not in self._ends:
            lasts = [(*parts, each, self._numbers[(*parts, each)][-1]) for each in self._branches.get(parts, ())]
            within = tuple(end for last in lasts for end in self._ends_of(last))
            self._ends[parts] = within or ((self._paths[parts],) if parts in self._paths else ())
        return self._ends[parts]


def _layers(needs: Needs) -> dict[StepIndex, int]:
    """The length of the longest way to each step."""
    layers: dict[StepIndex, int] = {}
    seen: dict[int, int] = {}
    for index, befores in needs.items():
        if id(befores) not in seen:
            seen[id(befores)] = max((layers[each] + 1 for each in befores), default=0)
        layers[index] = seen[id(befores)]
    return layers


def _groups(steps: Sequence[StepResult], layers: Mapping[StepIndex, int]) -> list[tuple[int, list[StepResult]]]:
    """The steps of each node with the node's layer, in the order of the first of them."""
    if len(steps) <= MAX_NODES and max(layers.values(), default=0) < MAX_LAYERS:
        return [(layers[step.index], [step]) for step in steps]
    last = max(layers.values())
    half = MAX_LAYERS // 2
    groups: dict[tuple[Any, ...], list[StepResult]] = {}
    for alike in (("skill_id", "status"), ("status",), ()):
        groups = {}
        for step in steps:
            layer = _shown(layers[step.index], last, half)
            # A long chain is cut in the middle, whatever its steps are.
            key = tuple(getattr(step, name) for name in alike) if layer != half or last < MAX_LAYERS else ()
            groups.setdefault((layer, *key), []).append(step)
        if len(groups) <= MAX_NODES:
            break
    return [(key[0], group) for key, group in groups.items()]


def _shown(layer: int, last: int, half: int) -> int:
    """The layer as drawn: those in the middle of many are one."""
    if last < MAX_LAYERS or layer < half:
        return layer
    return half if layer <= last - half else layer - (last - 2 * half)


def status_of(step: StepResult, state: RunState) -> str:
    """How the step stands; of one that is not done, whether it waits: for people, a signal, a child, its time."""
    return "waiting" if step.status == "pending" and step.index in state.waits else step.status


def _status_of(group: Sequence[StepResult], state: RunState) -> str:
    """What stands out among the statuses of several steps."""
    found = [status_of(step, state) for step in group]
    return next((each for each in ("failed", "waiting", "pending", "cancelled") if each in found), found[0])
