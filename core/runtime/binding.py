"""How a step's inputs become the arguments of its skill.

Inputs are canonical JSON; parameters are filled by name and checked against their annotations as strict JSON
(https://docs.pydantic.dev/latest/concepts/strict_mode/): "5" is no int and 1 is no bool, yet ISO text is a datetime.
"""

from __future__ import annotations

import difflib
import inspect
import re
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NotRequired, cast

import orjson
from typing_extensions import TypedDict

from ..canonical import decode, json_pointer
from ..errors import Failure, Problem
from .context import StepContext

Binder = Callable[[bytes, StepContext | None], dict[str, Any]]
"""Takes the canonical JSON object of a step's inputs and the context; gives the keyword arguments."""

_LONG_INTEGER = re.compile(rb"[0-9]{16}")
_SHOWN = 20
"""Characters shown of a text that does not fit."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter that the step's inputs fill: its name, its annotation (`Any` when it has none), its need."""

    name: str
    annotation: Any
    required: bool

    @property
    def type_name(self) -> str:
        """The annotation as a person writes it."""
        return inspect.formatannotation(self.annotation).replace("typing.", "")


@dataclass(frozen=True, slots=True)
class Parameters:
    """A skill's signature, sorted by who fills what."""

    named: tuple[Parameter, ...]
    rest: Parameter | None
    """`**kwargs`, which takes the inputs that no other parameter names."""
    context: str | None
    """The parameter that receives the `StepContext`."""
    returns: Any
    """The annotation of what it returns, `Any` when it has none."""


def parameters_of(function: Callable[..., Any]) -> tuple[Parameters, list[Problem]]:
    """Read a signature; problems are what the inputs of a step could not fill, or annotations that mean nothing."""
    problems: list[Problem] = []
    hints = _hints(function, problems)
    named: list[Parameter] = []
    contexts: list[str] = []
    rest: Parameter | None = None
    for name, parameter in inspect.signature(function).parameters.items():
        hint = hints.get(name, Any)
        filled = Parameter(name, hint, parameter.default is parameter.empty)
        if parameter.kind is parameter.POSITIONAL_ONLY:
            problems.append(Problem("", f"parameter {name!r} is positional-only; inputs go by name", "drop the '/'"))
        elif parameter.kind is parameter.VAR_POSITIONAL:
            problems.append(Problem("", f"*{name} takes values without a name, but inputs have names", f"drop *{name}"))
        elif parameter.kind is parameter.VAR_KEYWORD:
            rest = filled
        elif _is_context(hint):
            contexts.append(name)
        else:
            named.append(filled)
    if rest is not None and _is_context(rest.annotation):
        problems.append(Problem("", f"**{rest.name} takes inputs, never the StepContext", "give it a parameter"))
    if len(contexts) > 1:
        problems.append(Problem("", f"parameters {', '.join(contexts)} all ask for the StepContext", "keep one"))
    context = contexts[0] if contexts else None
    return Parameters(tuple(named), rest, context, hints.get("return", Any)), problems


def binder(what: str, parameters: Parameters) -> Binder:
    """The function that binds the inputs of `what`, named so in messages.

    Raises pydantic's errors when an annotation is nothing that JSON can be checked against.
    """
    rest, context_name = parameters.rest, parameters.context
    if not parameters.named and rest is not None and _is_anything(rest.annotation):
        if context_name is None:
            return lambda data, context: decode(data)
        read: Callable[[bytes], dict[str, Any]] = decode
    else:
        read = _checked(what, parameters)
    if context_name is None:
        return lambda data, context: read(data)

    def bind(data: bytes, context: StepContext | None) -> dict[str, Any]:
        arguments = read(data)
        if context_name in arguments:
            raise _refused(what, [f"input {context_name!r} is unknown: the engine itself fills that parameter"])
        arguments[context_name] = context
        return arguments

    return bind


def _checked(what: str, parameters: Parameters) -> Callable[[bytes], dict[str, Any]]:
    # Imported here because `import refold` must be quick. A TypedDict, not a model: any name may be a parameter's,
    # and an absent key leaves the default to the function itself.
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    fields = {p.name: p.annotation if p.required else NotRequired[p.annotation] for p in parameters.named}
    extra = {} if parameters.rest is None else {"extra_items": parameters.rest.annotation}
    shape: Any = cast(Any, TypedDict)("Inputs", fields, **extra)
    if parameters.rest is None:
        shape.__pydantic_config__ = ConfigDict(extra="forbid")
    validate = TypeAdapter[Any](shape).validator.validate_json

    def check(data: bytes) -> dict[str, Any]:
        if _LONG_INTEGER.search(data):
            # RFC 8785 writes the float 1e17 as an integer; pydantic must see what it was.
            data = orjson.dumps(decode(data))
        try:
            return validate(data, strict=True)
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=False)
            raise _refused(what, [_explained(detail, parameters) for detail in details[:5]]) from None
        except Exception as error:  # validators of the user's models run here
            raise _refused(what, [f"the inputs cannot be checked: {type(error).__name__}: {error}"]) from error

    return check


def _refused(what: str, reasons: list[str]) -> Failure:
    return Failure("SKILL_INPUT_INVALID", f"{what}: {'; '.join(reasons)}", retryable=False)


def _explained(detail: Any, parameters: Parameters) -> str:
    path: tuple[str | int, ...] = detail["loc"]
    if not path:
        return f"inputs must be a JSON object: {detail['msg']}"
    name = str(path[0])
    known = {p.name: p for p in parameters.named}
    where = f"input {name!r}" + (f" at {json_pointer(path[1:])}" if path[1:] else "")
    if name not in known and parameters.rest is None:
        names = [p.name for p in parameters.named]
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"it takes {', '.join(names) or 'no inputs'}"
        return f"{where} is unknown ({hint})"
    wanted = known[name].type_name if name in known else parameters.rest.type_name if parameters.rest else "Any"
    if detail["type"] == "missing":
        return f"{where} is missing (wanted {wanted})" if not path[1:] else f"{where} is missing"
    return f"{where} is {_shown(detail['input'])}, wanted {wanted}: {detail['msg']}"


def _shown(value: Any) -> str:
    """A value in a message: enough to see its type, too little to give a secret away."""
    if isinstance(value, dict):
        return f"an object of {len(cast(dict[str, Any], value))}"
    if isinstance(value, list):
        return f"an array of {len(cast(list[Any], value))}"
    if isinstance(value, str):
        return f'the text "{value}"' if len(value) <= _SHOWN else f'the text "{value[:_SHOWN]}…"'
    return "null" if value is None else str(value).lower()


def _hints(function: Callable[..., Any], problems: list[Problem]) -> dict[str, Any]:
    scope = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        # StepContext is known even where the skill's module imports it for type checkers only.
        return typing.get_type_hints(function, {"StepContext": StepContext, **scope}, include_extras=True)
    except Exception as error:  # an annotation is an expression: evaluating it can raise anything
        fix = "define or import what annotations name at the top of the module, above the skill"
        problems.append(Problem("", f"an annotation cannot be resolved: {error}", fix))
        return {}


def _is_context(hint: Any) -> bool:
    if typing.get_origin(hint) is typing.Annotated:
        return _is_context(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return set(typing.get_args(hint)) - {types.NoneType} == {StepContext}
    return hint is StepContext


def _is_anything(hint: Any) -> bool:
    return hint is Any or hint is object
