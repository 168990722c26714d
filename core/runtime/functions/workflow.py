"""Workflows written as functions, and what they declare about themselves."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from ...canonical import Payload
from ...durations import Duration, seconds_of
from ...errors import CallError, Failure, Problem
from ...failures import FailureCatalog
from ...hashing import sha256_hex
from ...limits import Limits
from ...spec_problems import NAME
from ..binding import Binder, Parameters, binder, parameters_of
from ..payloads import Reader, first_line, inputs_payload, reader_of

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, eq=False, kw_only=True)
class Workflow(Generic[P, R]):
    """An async function whose steps, waits and children are recorded and replayed. Called, it is the plain function.

    Raises `CallError` with every reason when the declaration or the signature cannot work.
    """

    function: Callable[P, Coroutine[Any, Any, R]]
    workflow_type: str
    version: str = "1"
    timeout_seconds: float | None = None
    """The time limit of a whole run."""
    sensitive: bool = False
    """All that a run of it takes in and puts out, and each of its steps, is encrypted in the log."""
    failures: FailureCatalog | None = None
    """The codes of its own that it raises; any other one than these and Refold's is recorded as WORKFLOW_ERROR."""
    parameters: Parameters = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        problems = _problems(self.function)
        if problems:
            raise CallError(problems)
        parameters, problems = parameters_of(self.function)
        if parameters.context is not None:
            problems.append(Problem("", "a workflow gets no StepContext", "ask for it in a skill"))
        shown = {n: getattr(self.function, n) for n in functools.WRAPPER_ASSIGNMENTS if hasattr(self.function, n)}
        self.__dict__.update(shown, __wrapped__=self.function, parameters=parameters)
        for what, text in (("type", self.workflow_type), ("version", self.version)):
            if not isinstance(cast(object, text), str) or not re.fullmatch(NAME, text):
                problems.append(Problem("", f"the {what} {text!r} is not possible", "use the alphabet of spec types"))
        if problems:
            name = f"workflow {self.workflow_type!r}: "
            raise CallError([problem._replace(reason=name + problem.reason) for problem in problems])

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Call the plain function; what it awaits works in a run only."""
        return self.function(*args, **kwargs)

    @functools.cached_property
    def source(self) -> str:
        """SHA-256 of the function's source text, or of its name where there is none to be had."""
        try:
            text = inspect.getsource(self.function)
        except (OSError, TypeError):
            text = f"{self.function.__module__}.{self.function.__qualname__}"
        return sha256_hex(text.encode())

    @functools.cached_property
    def reader(self) -> Reader:
        """Makes of a recorded output what the function's annotation says that it returns."""
        return reader_of(self.parameters.returns)

    def inputs_of(self, *args: Any, **kwargs: Any) -> Payload:
        """The inputs of a run that calls the function with these arguments.

        Raises TypeError for arguments that the function does not take, CallError for what is no JSON.
        """
        bound = inspect.signature(self.function).bind(*args, **kwargs).arguments
        rest = self.parameters.rest
        if rest is not None:
            bound.update(bound.pop(rest.name, {}))
        return self.checked_inputs(bound, Limits())

    def checked_inputs(self, inputs: Mapping[str, Any], limits: Limits) -> Payload:
        """`inputs`, by the names of the parameters, as a run records them. Raises CallError with pointers."""
        payload = inputs_payload(dict(inputs), limits.payload_bytes)
        try:
            self.binder(payload.data, None)
        except Failure as error:
            raise CallError(Problem("/inputs", str(error), "give what the function's annotations say")) from error
        return payload

    def begin(self, inputs: Payload) -> Coroutine[Any, Any, R]:
        """The coroutine of a run with these recorded inputs."""
        return cast("Callable[..., Coroutine[Any, Any, R]]", self.function)(**self.binder(inputs.revealed().data, None))

    @functools.cached_property
    def binder(self) -> Binder:
        """Makes the arguments of recorded inputs. Raises CallError when an annotation is nothing JSON could be."""
        try:
            return binder(f"workflow {self.workflow_type!r}", self.parameters)
        except Exception as error:  # pydantic builds the schema by calling hooks of the annotated types
            name = f"workflow {self.workflow_type!r}"
            reason = f"{name}: an annotation is nothing that JSON can fill: {first_line(error)}"
            raise CallError(Problem("", reason, "annotate with JSON types, dataclasses or pydantic models")) from error


@overload
def workflow(workflow_type: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]:
    """The function itself, decorated."""


@overload
def workflow(
    workflow_type: str | None = None,
    *,
    version: str = "1",
    timeout: Duration | None = None,
    sensitive: bool = False,
    failures: FailureCatalog | None = None,
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Workflow[P, R]]:
    """A decorator with these settings."""


def workflow(
    workflow_type: Any = None,
    *,
    version: str = "1",
    timeout: Duration | None = None,
    sensitive: bool = False,
    failures: FailureCatalog | None = None,
) -> Any:
    """Declare an async function as a workflow: `@workflow`, `@workflow("name", version="2", timeout="1h")`.

    Without a name the function's own is taken. Raises `CallError`.
    """
    if callable(workflow_type):
        return Workflow(function=cast(Any, workflow_type), workflow_type=getattr(workflow_type, "__name__", ""))
    limit = None if timeout is None else seconds_of(timeout)

    def declare(function: Callable[P, Coroutine[Any, Any, R]]) -> Workflow[P, R]:
        name = getattr(function, "__name__", "") if workflow_type is None else workflow_type
        return Workflow(
            function=function,
            workflow_type=name,
            version=version,
            timeout_seconds=limit,
            sensitive=sensitive,
            failures=failures,
        )

    return declare


def _problems(function: Any) -> list[Problem]:
    if isinstance(function, Workflow):
        return [Problem("", f"{function.workflow_type!r} is a workflow already", "declare it once")]
    if not inspect.iscoroutinefunction(function):
        return [Problem("", f"{function!r} is no async function", "write it with async def")]
    return []
