"""The parts of a running function: its branches, where they meet again, and the calls that they await."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextvars import Context
from pathlib import Path
from types import FrameType
from typing import Any

from ...paths import step_id_of
from ...retry import Retry
from ...secret_marks import Mark
from ...sensitive import hide
from ..skill import Skill
from .command import Command

# asyncio is no place that anybody could mend either.
_OURS = (str(Path(__file__).parent), str(Path(asyncio.__file__).parent))


NOWHERE = "?"
"""The place of code that is all ours."""


class Branch:
    """A line of execution: the function itself, or one argument of a `gather`."""

    __slots__ = ("calls", "context", "coroutine", "draws", "joined", "number", "path")

    def __init__(
        self, path: str, coroutine: Coroutine[Any, Any, Any], context: Context, joined: Join | None, number: int
    ):
        self.path = path
        self.coroutine = coroutine
        self.context = context
        self.joined = joined
        self.number = number
        self.calls = self.draws = 0


class Join:
    """Where branches meet again: the branch that gathers them, and what has come of each."""

    __slots__ = ("branch", "errors", "left", "values")

    def __init__(self, branch: Branch, width: int):
        self.branch = branch
        self.values: list[Any] = [None] * width
        self.errors: dict[int, BaseException] = {}
        self.left = width

    def ended(self, number: int, value: Any, error: BaseException | None) -> bool:
        """Note how a branch ended; tells whether it was the last one."""
        self.values[number] = value
        if error is not None:
            self.errors[number] = error
        self.left -= 1
        return not self.left

    def first_error(self) -> BaseException | None:
        """The error of the first branch that failed, as serial execution would raise it; a cancel before all others."""
        cancels = [number for number, error in self.errors.items() if isinstance(error, asyncio.CancelledError)]
        return self.errors[min(cancels or self.errors)] if self.errors else None


class OpenCall:
    """A call that a branch awaits; a step as outcomes and retries see it."""

    __slots__ = ("branch", "command", "index", "inputs", "sensitive", "step_id")

    backoff = None
    max_retries = None
    estimated_cost_cents = None

    def __init__(self, path: str, command: Command[Any], branch: Branch, sensitive: bool):
        """`inputs` is what is recorded of those of the command: of `sensitive` ones a placeholder."""
        self.index = path
        self.step_id = step_id_of(command.skill.skill_id, path)
        self.command = command
        self.branch = branch
        self.sensitive = sensitive
        self.inputs = hide(command.inputs, f"{self.step_id}.inputs") if sensitive else command.inputs

    @property
    def skill(self) -> Skill[..., Any]:
        """What it runs."""
        return self.command.skill

    @property
    def skill_id(self) -> str:
        """The name of what it runs."""
        return self.command.skill.skill_id

    @property
    def marks(self) -> Sequence[Mark]:
        """Where in that secrets stand."""
        return self.command.marks

    @property
    def timeout_seconds(self) -> float | None:
        """The time limit of an attempt."""
        own = self.command.timeout_seconds
        return self.command.skill.timeout_seconds if own is None else own

    @property
    def retry(self) -> Retry | None:
        """The call's own retry policy."""
        return self.command.retry

    @property
    def place(self) -> str:
        """File and line of the await."""
        branch, place = self.branch, place_of(self.branch.coroutine)
        while place == NOWHERE and branch.joined is not None:  # A step given to gather as it is: nothing of the user's.
            branch = branch.joined.branch
            place = place_of(branch.coroutine)
        return place


def place_of(coroutine: Coroutine[Any, Any, Any]) -> str:
    """File and line at which a suspended coroutine stands, in the innermost function that is not ours."""
    frame: FrameType | None = None
    inner: Any = coroutine
    while inner is not None and hasattr(inner, "cr_frame"):
        there: FrameType | None = inner.cr_frame
        if there is not None and not there.f_code.co_filename.startswith(_OURS):
            frame = there
        inner = inner.cr_await
    if frame is None:
        return NOWHERE
    # The last two parts say enough, and nothing of the machine.
    return f"{'/'.join(Path(frame.f_code.co_filename).parts[-2:])}:{frame.f_lineno}"
