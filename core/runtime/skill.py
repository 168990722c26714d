"""Skills: the functions that steps run, and what they declare about themselves."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypedDict, TypeVar, cast, overload

from ..canonical import Payload
from ..durations import MAX_SECONDS
from ..errors import CallError, NotCanonicalError, Problem
from ..failures import FailureCatalog
from ..retry import Retry
from ..secret_marks import Mark
from ..spec import MAX_CENTS
from .binding import Binder, Parameters, binder, parameters_of
from .context import StepContext
from .functions.workspace import CURRENT
from .payloads import Reader, first_line, reader_of, sealed_payload_of
from .wait import Wait

P = ParamSpec("P")
R = TypeVar("R")

_SKILL_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,199}")


class Declaration(TypedDict, total=False):
    """What `@skill` may say of a function; `Skill` gives the meanings."""

    version: str
    deterministic: bool
    side_effect: bool
    cost_cents: float | None
    retry: Retry | None
    at_most_once: bool
    inline: bool
    timeout_seconds: float | None
    heartbeat_seconds: float | None
    sensitive: bool
    failures: FailureCatalog | None


@dataclass(frozen=True, eq=False, kw_only=True)
class Skill(Generic[P, R]):
    """A function that steps can run, and its declaration. Called, it is the plain function.

    Raises `CallError` with every reason when the declaration or the signature cannot work.
    """

    function: Callable[P, R]
    skill_id: str
    version: str = "1"
    deterministic: bool = False
    """Same inputs and seed, same output: replay runs it again and compares. Others are served from the log."""
    side_effect: bool = False
    """Changes the world outside; specs and plans must then declare an idempotency key (R4)."""
    cost_cents: float | None = None
    """What one attempt costs, in cents; None: unknown."""
    retry: Retry | None = None
    """The retry policy of steps that bring none of their own."""
    at_most_once: bool = False
    """Its start is recorded first, and after a crash it is never run again."""
    inline: bool = False
    """A sync function so quick that it may run on the event loop's own thread; others get a thread."""
    timeout_seconds: float | None = None
    """The time limit of an attempt, where the step brings none of its own."""
    heartbeat_seconds: float | None = None
    """An attempt that calls `ctx.heartbeat()` less often than this counts as lost."""
    sensitive: bool = False
    """What it returns is encrypted in the log, with a key that can be destroyed."""
    failures: FailureCatalog | None = None
    """The codes of its own that it fails with; any other one than these and Refold's is recorded as SKILL_ERROR."""
    is_async: bool = dataclasses.field(init=False)
    parameters: Parameters = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        problems = _function_problems(self.function)
        if problems:
            raise CallError(problems)
        parameters, problems = parameters_of(self.function)
        # The instance shows the function's name and text to help(), inspect and pickle's messages.
        shown = {n: getattr(self.function, n) for n in functools.WRAPPER_ASSIGNMENTS if hasattr(self.function, n)}
        is_async = inspect.iscoroutinefunction(self.function)
        self.__dict__.update(shown, __wrapped__=self.function, is_async=is_async, parameters=parameters)
        problems += _declaration_problems(self)
        if problems:
            name = f"skill {self.skill_id!r}: "
            raise CallError([problem._replace(reason=name + problem.reason) for problem in problems])

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """In a workflow function: a step, to be awaited. Elsewhere the plain function, sync or async as it is."""
        workspace = CURRENT.get()
        if workspace is None:
            return self.function(*args, **kwargs)
        # What a workflow awaits is a command that gives what the function would.
        inputs, marks = self.sealed_inputs_of(*args, **kwargs)
        return cast(R, workspace.command(cast("Skill[..., Any]", self), inputs, marks))

    def inputs_of(self, *args: Any, **kwargs: Any) -> Payload:
        """The inputs of a step that calls the skill with these arguments, as canonical JSON.

        Raises TypeError for arguments that the function does not take, `CallError` with a pointer for what is no JSON.
        """
        return self.sealed_inputs_of(*args, **kwargs)[0]

    def sealed_inputs_of(self, *args: Any, **kwargs: Any) -> tuple[Payload, Sequence[Mark]]:
        """The same, and where in them secrets stand."""
        bound = self._signature.bind(*args, **kwargs).arguments
        rest = self.parameters.rest
        if rest is not None:
            bound.update(bound.pop(rest.name, {}))
        try:
            return sealed_payload_of(bound)
        except NotCanonicalError as error:
            where = f"skill {self.skill_id!r}, argument "
            raise CallError([p._replace(reason=where + p.reason) for p in error.problems]) from error

    @functools.cached_property
    def _signature(self) -> inspect.Signature:
        """The function's signature without the context, which the engine fills in."""
        signature = inspect.signature(self.function)
        kept = [p for p in signature.parameters.values() if p.name != self.parameters.context]
        return signature.replace(parameters=kept)

    @functools.cached_property
    def reader(self) -> Reader:
        """Makes of a recorded output what the function's annotation says that it returns.

        Of a skill that waits it says nothing: the output is a signal's payload, a child's output, anything.
        """
        returns = self.parameters.returns
        return Payload.fresh if returns is Wait else reader_of(returns)

    @property
    def takes_context(self) -> bool:
        """Whether a parameter is annotated `StepContext`; `bind` ignores the context of others."""
        return self.parameters.context is not None

    def bind(self, data: bytes, context: StepContext | None) -> dict[str, Any]:
        """Keyword arguments for one attempt, decoded afresh from `data`, the canonical JSON object of the inputs.

        Raises `Failure` SKILL_INPUT_INVALID, naming each input that is unknown, missing or of another type.
        """
        return self.binder(data, context)

    @functools.cached_property
    def binder(self) -> Binder:
        """`bind`, made on first use. Raises `CallError` when an annotation is nothing that JSON could be."""
        try:
            return binder(f"skill {self.skill_id!r}", self.parameters)
        except Exception as error:  # pydantic builds the schema by calling hooks of the annotated types
            reason = f"skill {self.skill_id!r}: an annotation is nothing that JSON can fill: {first_line(error)}"
            raise CallError(Problem("", reason, "annotate with JSON types, dataclasses or pydantic models")) from error


@overload
def skill(skill_id: Callable[P, R], /) -> Skill[P, R]:
    """The function itself, decorated."""


@overload
def skill(
    skill_id: str | None = None,
    *,
    version: str = "1",
    deterministic: bool = False,
    side_effect: bool = False,
    cost_cents: float | None = None,
    retry: Retry | None = None,
    at_most_once: bool = False,
    inline: bool = False,
    timeout_seconds: float | None = None,
    heartbeat_seconds: float | None = None,
    sensitive: bool = False,
    failures: FailureCatalog | None = None,
) -> Callable[[Callable[P, R]], Skill[P, R]]:
    """A decorator with these settings."""


def skill(skill_id: Any = None, **declaration: Any) -> Any:
    """Declare a function as a skill: `@skill`, `@skill("name")`, `@skill("name", deterministic=True)`.

    Without a name the function's own is taken. The options are the fields of `Skill`. Raises `CallError`.
    """
    if callable(skill_id):
        return Skill(function=skill_id, skill_id=_name_of(skill_id))

    def declare(function: Callable[P, R]) -> Skill[P, R]:
        return Skill(function=function, skill_id=_name_of(function) if skill_id is None else skill_id, **declaration)

    return declare


def _name_of(function: Any) -> str:
    return getattr(function, "__name__", "")


def _function_problems(function: Any) -> list[Problem]:
    if isinstance(function, Skill):
        return [Problem("", f"{function.skill_id!r} is a skill already", "declare it once")]
    if not inspect.isfunction(function) and not inspect.ismethod(function):
        return [Problem("", f"{function!r} is no Python function", "write a def or async def around it")]
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return [Problem("", f"{_name_of(function)!r} is a generator; a skill returns once", "return instead of yield")]
    return []


def _declaration_problems(declared: Skill[..., Any]) -> list[Problem]:
    problems: list[Problem] = []

    def refuse(wrong: bool, reason: str, fix: str) -> None:
        if wrong:
            problems.append(Problem("", reason, fix))

    def given_as_text(value: Any) -> bool:
        return isinstance(value, str)

    named = given_as_text(declared.skill_id) and _SKILL_ID.fullmatch(declared.skill_id) is not None
    refuse(not named, "the name is none for a skill", "letters, digits, _ . - and no digit first, up to 200")
    version = given_as_text(declared.version) and 0 < len(declared.version) <= 100
    refuse(not version, f"version {declared.version!r} is no text of 1 to 100 characters", "write version='1'")
    refuse(not _is_cost(declared.cost_cents), f"cost_cents {declared.cost_cents!r} is no amount", "0 or more, or None")
    flags = ("deterministic", "side_effect", "at_most_once", "inline", "sensitive")
    for flag in flags:
        value = getattr(declared, flag)
        refuse(not isinstance(value, bool), f"{flag} is {value!r}", "write True or False")
    policy: Any = declared.retry
    refuse(policy is not None and not isinstance(policy, Retry), f"retry is {policy!r}", "write Retry(max_attempts=3)")
    both = declared.deterministic and declared.side_effect
    refuse(both, "deterministic and side_effect exclude each other: replay would cause the effect again", "drop one")
    for name in ("timeout_seconds", "heartbeat_seconds"):
        seconds = getattr(declared, name)
        refuse(not _is_span(seconds), f"{name} is {seconds!r}", "a number above 0, or None")
    catalog: Any = declared.failures
    odd = catalog is not None and not isinstance(catalog, FailureCatalog)
    refuse(odd, f"failures is {catalog!r:.60}", "register the codes with a FailureCatalog")
    mute = declared.heartbeat_seconds is not None and declared.parameters.context is None
    refuse(mute, "heartbeat_seconds without a StepContext to beat on", "take a parameter `ctx: StepContext`")
    again = declared.at_most_once and declared.retry is not None
    refuse(again, "at_most_once and retry exclude each other", "drop one")
    hidden = not declared.is_async and inspect.iscoroutinefunction(inspect.unwrap(declared.function))
    refuse(hidden, "a sync decorator hides an async function", "make the decorator's inner function async")
    refuse(declared.inline and declared.is_async, "inline is for sync functions; this one is async", "drop inline")
    return problems


def _is_cost(cents: Any) -> bool:
    if cents is None:
        return True
    return isinstance(cents, int | float) and not isinstance(cents, bool) and 0 <= cents <= MAX_CENTS


def _is_span(seconds: Any) -> bool:
    if seconds is None:
        return True
    return isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds <= MAX_SECONDS
