"""Paths: how the calls of a workflow function are numbered.

The calls of a branch are counted from 0, and the count is appended to the branch's own path: the third call of the
function is `2`; if that is a `gather`, the first call of its second branch is `2.1.0`. So a call's path depends on the
code alone, never on which branch was faster.
"""

from __future__ import annotations

import re
from functools import lru_cache

_PATH = re.compile(r"(0|[1-9][0-9]{0,9})(\.(0|[1-9][0-9]{0,9}))*")


def is_path(text: object) -> bool:
    """Whether `text` is the path of a call."""
    return isinstance(text, str) and _PATH.fullmatch(text) is not None


def join(branch: str, number: int) -> str:
    """The path of call or branch `number` of what has the path `branch`; the function itself has the empty one."""
    return f"{branch}.{number}" if branch else str(number)


@lru_cache(maxsize=65_536)
def order_of(path: str) -> tuple[int, ...]:
    """What paths are sorted by: number by number, so that 10 comes after 9."""
    return tuple(map(int, path.split(".")))


def step_id_of(skill_id: str, path: str) -> str:
    """The step id of the call of a skill: unlike the path alone it says what was called."""
    return f"{skill_id}#{path}"
