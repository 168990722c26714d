"""What a run needs of a worker, as dispatch rows hold it: the canonical JSON of a sorted list of texts.

`spec type version` and the ids of its skills for a spec, `workflow type version` for a function. No name holds a space.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from .canonical import canonical_json, decode

SPEC, WORKFLOW = "spec", "workflow"
"""The first word of the need for a workflow."""


def needs_of_spec(workflow_type: str, version: str, skills: Iterable[str]) -> str:
    """The needs of the runs of a spec."""
    return canonical_json(sorted({f"{SPEC} {workflow_type} {version}", *skills})).decode()


@lru_cache(maxsize=256)
def needs_of_code(workflow_type: str, version: str) -> str:
    """The needs of the runs of a function."""
    return canonical_json([f"{WORKFLOW} {workflow_type} {version}"]).decode()


class Offer(NamedTuple):
    """What a worker offers: the names of its skills and workflow functions, and the versions it is pinned to.

    Of a workflow type in `pins` it serves those versions only.
    """

    skills: frozenset[str]
    workflows: frozenset[str]
    pins: Mapping[str, frozenset[str]]

    def serves(self, needs: str) -> bool:
        """Whether a worker with this offer can work on runs with these needs."""
        return not self.lacking(needs)

    def lacking(self, needs: str) -> list[str]:
        """What of the needs it does not offer."""
        return [need for need in decode(needs.encode()) if not self._offers(need)]

    def _offers(self, need: str) -> bool:
        kind, space, workflow = need.partition(" ")
        if not space:
            return need in self.skills
        workflow_type, _, version = workflow.partition(" ")
        pinned = self.pins.get(workflow_type)
        if pinned is not None and version and version not in pinned:
            return False
        return kind == SPEC or workflow_type in self.workflows
