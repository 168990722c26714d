"""The iterations of the determinism suite: a five-step run, in memory, hashed, for each seed on each of some workers.

Each worker goes through the seeds in an order of its own: what one run leaves behind for the next would show.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

from ..core.errors import IntegrityError
from ..core.limits import Limits
from ..core.plan import plan_of
from ..core.runtime.admission import first_event
from ..core.runtime.registry import SkillRegistry
from ..core.spec import WorkflowSpec
from .lean import check_inline, run_lean

SEEDS, WORKERS = 7_500, 3
"""How many seeds, and on how many workers each: 22,500 iterations."""

DIGEST_BYTES = 32
"""Of one iteration: its workflow hash."""

FIVE_STEPS: dict[str, Any] = {
    "workflow_type": "determinism",
    "inputs": {"name": "Ada"},
    "steps": [
        {"step_id": "greet", "skill_id": "echo", "inputs": {"text": "Hello ${inputs.name}"}},
        {"step_id": "draw", "skill_id": "random", "depends_on": ["greet"]},
        {"step_id": "pick", "skill_id": "transform", "inputs": {"expression": "v", "v": "${draw.value}"}},
        {"step_id": "join", "skill_id": "echo", "inputs": {"drawn": "${pick}", "said": "${greet.text}"}},
        {"step_id": "digest", "skill_id": "hash", "inputs": {"of": "${join}"}},
    ],
}
"""The spec of an iteration: references, whole ones and within texts, and a step whose value follows from the seed."""


class SeedMismatch(NamedTuple):
    """A seed whose run came out otherwise on some worker, with the workflow hash of each."""

    seed: int
    hashes: tuple[str, ...]


def order_of(worker: int, count: int) -> Sequence[int]:
    """The seeds from 0 to below `count`, in the order of that worker: upwards, downwards, the even ones first, ..."""
    if worker % 3 == 0:
        return range(count)
    if worker % 3 == 1:
        return range(count - 1, -1, -1)
    return [*range(0, count, 2), *range(1, count, 2)]


def digests(seeds: Iterable[int]) -> dict[int, bytes]:
    """Run each of `seeds`, and tell the digests of the workflow hashes. Raises IntegrityError for one that fails."""
    spec, skills, limits = _spec(), SkillRegistry(), Limits()
    check_inline(plan_of(spec.canonical), skills)
    found: dict[int, bytes] = {}
    for seed in seeds:
        started = first_event(spec, f"run-{seed}", seed, None, None, "default", skills=skills, limits=limits, at=0)
        state = run_lean(started, skills, limits)
        if state.end is None or state.status != "completed":
            raise IntegrityError(f"the run of seed {seed} is {state.status}")
        found[seed] = bytes.fromhex(state.end.workflow_hash)
    return found


def in_order(found: dict[int, bytes]) -> bytes:
    """The digests one after the other, by seed."""
    return b"".join(found[seed] for seed in sorted(found))


def mismatches(by_worker: Sequence[bytes], count: int) -> list[SeedMismatch]:
    """The seeds on which workers do not agree; each of `by_worker` is what `in_order` gave.

    Raises IntegrityError where one has not done all of them.
    """
    if any(len(each) != count * DIGEST_BYTES for each in by_worker):
        raise IntegrityError("a worker has not done all its iterations")
    found: list[SeedMismatch] = []
    if all(each == by_worker[0] for each in by_worker):
        return found
    for seed in range(count):
        here = [each[seed * DIGEST_BYTES : (seed + 1) * DIGEST_BYTES].hex() for each in by_worker]
        if len(set(here)) > 1:
            found.append(SeedMismatch(seed, tuple(here)))
    return found


@cache
def _spec() -> WorkflowSpec:
    return WorkflowSpec.parse(FIVE_STEPS)
