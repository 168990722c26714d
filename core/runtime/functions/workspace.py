"""What the code of a workflow function finds around it while it is being driven."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Protocol

from ...canonical import Payload
from ...errors import CallError, Problem
from ...secret_marks import Mark


class Workspace(Protocol):
    """The side of a program that its own code sees."""

    def command(self, skill: Any, inputs: Payload, marks: Sequence[Mark] = ()) -> Any:
        """What the code awaits to have a step of `skill` run with `inputs`, in which secrets stand at `marks`."""
        ...

    def find(self, skill_id: str) -> Any:
        """The skill of this name. Raises Failure SKILL_UNKNOWN."""
        ...

    def check_open(self) -> None:
        """Raise `Suspended` when the function is being dropped, CallError in a query."""
        ...

    def check_asked(self) -> None:
        """Raise CallError in a query, which may only look."""
        ...

    @property
    def run_id(self) -> str:
        """The id of the run."""
        ...

    @property
    def now(self) -> int:
        """The time of the event being processed, in microseconds since the epoch."""
        ...

    def draw(self) -> str:
        """A text of the run's seed and the place of the call, another one each time, the same in every replay."""
        ...

    def continuing(self, inputs: Mapping[str, Any]) -> Payload:
        """The inputs of a run that continues this one. Raises CallError for what the function does not take."""
        ...

    def patched(self, patch: str) -> bool:
        """Whether to take the way of the patch."""
        ...

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Lay `attributes` over those that the run has."""
        ...

    def answer(self, name: str, handler: Callable[..., Any]) -> None:
        """Answer queries of this name with what `handler` returns."""
        ...


CURRENT: ContextVar[Workspace | None] = ContextVar("refold_workspace", default=None)
"""The workspace of the function that is being driven here and now."""


class Suspended(BaseException):
    """The function is dropped from memory in the middle; the log brings it back to this point.

    No Exception, so that `except Exception` in a workflow does not take it for an error. Clean-up code that awaits
    anything gets it again: a dropped function cannot run steps.
    """


class ContinueAsNew(BaseException):
    """Raised by `continue_as_new` to leave the function from wherever it is."""

    def __init__(self, inputs: Payload):
        super().__init__("the run is continued by a new one")
        self.inputs = inputs


def workspace(what: str) -> Workspace:
    """The current workspace. Raises CallError, naming `what` was called, outside of a workflow function."""
    found = CURRENT.get()
    if found is None:
        reason = f"{what} works inside a workflow function only"
        raise CallError(Problem("", reason, "call it from a function decorated with @workflow"))
    return found
