"""What workflow functions await: commands, and several branches at once."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Coroutine, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from ...canonical import Payload
from ...retry import Retry
from ...secret_marks import Mark
from ..payloads import Reader
from ..skill import Skill
from .workspace import workspace

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Command(Generic[T]):
    """A step that a function asks for. It is asked for when awaited, and each time anew."""

    skill: Skill[..., Any]
    inputs: Payload
    reader: Reader
    timeout_seconds: float | None = None
    retry: Retry | None = None
    marks: Sequence[Mark] = ()
    """Where in the inputs secrets stand."""

    def __bool__(self) -> bool:
        """Raises TypeError: whoever asks has forgotten to await it."""
        raise TypeError(f"the step {self.skill.skill_id!r} is neither true nor false: await it")

    def __await__(self) -> Generator[Command[T], Payload, T]:
        """Hand the command to whoever drives the function, and make of the recorded output what the caller wants."""
        workspace(f"awaiting {self.skill.skill_id!r}").check_open()
        return cast(T, self.reader((yield self)))


@dataclass(frozen=True, slots=True, eq=False)
class Gather:
    """Branches that run side by side, each driven like a function of its own."""

    branches: tuple[Coroutine[Any, Any, Any], ...]

    def __await__(self) -> Generator[Gather, list[Any], list[Any]]:
        """Wait for all branches and return what they returned, in their order."""
        try:
            workspace("gather").check_open()
        except BaseException:
            for branch in self.branches:  # else Python complains that nobody awaited them
                branch.close()
            raise
        return (yield self)


def as_branch(awaitable: Awaitable[T]) -> Coroutine[Any, Any, T]:
    """A coroutine that awaits `awaitable`. Raises TypeError for what cannot be awaited."""
    if inspect.iscoroutine(awaitable):
        return cast("Coroutine[Any, Any, T]", awaitable)
    if isinstance(awaitable, asyncio.Future) or not hasattr(awaitable, "__await__"):
        kind = type(cast(object, awaitable)).__name__
        raise TypeError(f"gather takes steps and coroutines, not {kind}: call async functions, do not wrap them")
    return _awaiting(awaitable)


async def _awaiting(awaitable: Awaitable[T]) -> T:
    return await awaitable
