"""JMESPath within bounds: an expression comes from whoever wrote the spec, and must not stall the event loop.

A few pipes of `[@,@]` make a value of 2^n nodes that shares memory until somebody writes it down. So every value that
an expression builds, or hands to a function or a comparison, is weighed against one budget. The bounds count nodes,
never time or stack, and so a replay meets them at the same place.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, cast

from jmespath import exceptions, functions, parser, visitor

MAX_EXPRESSION = 4_096
"""Characters of an expression."""
MAX_DEPTH = 64
"""Levels of its syntax tree."""
MAX_WORK = 1_000_000
"""Nodes visited and values weighed while it is evaluated; about a second."""

_PASSES_ON = {"field", "subexpression", "current", "identity", "literal", "index", "index_expression", "pipe"} | {
    "or_expression",
    "and_expression",
    "expref",
    "key_val_pair",
}


class ExpressionError(ValueError):
    """The expression is wrong, does not fit its data, or costs too much."""


def evaluate(expression: str, data: Any) -> Any:
    """The value of a JMESPath expression over JSON data. Raises `ExpressionError`."""
    tree = _compiled(expression)
    try:
        return _Interpreter().visit(tree, data)
    except ExpressionError:
        raise
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
        # JMESPathError is a ValueError; the others come from values that the library's own type checks let through.
        raise ExpressionError(f"the expression does not fit its data: {_first_line(error)}") from error
    except RecursionError:
        raise ExpressionError("the data are nested too deeply for the expression") from None


@functools.lru_cache(maxsize=512)
def _compiled(expression: str) -> dict[str, Any]:
    if len(expression) > MAX_EXPRESSION:
        raise ExpressionError(f"the expression has {len(expression)} characters, more than {MAX_EXPRESSION}")
    try:
        tree = cast(dict[str, Any], parser.Parser().parse(expression).parsed)
    except exceptions.JMESPathError as error:
        raise ExpressionError(f"the expression is wrong: {_first_line(error)}") from error
    except RecursionError:
        raise _too_deep() from None
    _mark(tree, weighed=False, depth=1)
    return tree


def _mark(node: dict[str, Any], weighed: bool, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _too_deep()
    node["weighed"] = weighed or node["type"] not in _PASSES_ON
    reads_whole = node["type"] in ("function_expression", "comparator")
    for child in node["children"]:
        if isinstance(child, dict):  # a slice has numbers
            _mark(cast(dict[str, Any], child), reads_whole, depth + 1)


class _Interpreter(visitor.TreeInterpreter):
    def __init__(self) -> None:
        super().__init__(visitor.Options(custom_functions=_Functions()))
        self._left = MAX_WORK

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        value = super().visit(node, *args, **kwargs)
        self._left -= _weight(value, self._left) if node["weighed"] else 1
        if self._left < 0:
            raise _too_much()
        return value


class _Functions(functions.Functions):
    def call_function(self, function_name: str, resolved_args: Iterable[Any]) -> Any:
        arguments = list(resolved_args)
        if function_name == "join" and len(arguments) == 2:
            glue, parts = arguments
            # The only function whose result outgrows what it was given.
            if isinstance(glue, str) and isinstance(parts, list):
                parts = cast(list[Any], parts)
                if len(glue) * len(parts) > 16 * MAX_WORK:
                    raise _too_much()
        if function_name == "to_string" and any(hasattr(argument, "expression") for argument in arguments):
            raise ExpressionError("to_string() of an expression would give a place in memory")
        return super().call_function(function_name, arguments)


def _weight(value: Any, limit: int) -> int:
    """The nodes of a JSON tree and a share of its text, counted up to a little over `limit`."""
    weight = 0
    pending = [value]
    while pending:
        item = pending.pop()
        weight += 1
        if isinstance(item, str):
            weight += len(item) // 16
        elif isinstance(item, list | dict):
            items = cast(dict[Any, Any] | list[Any], item)
            if weight + len(items) > limit:
                return limit + 1
            pending.extend(items.values() if isinstance(items, dict) else items)
        if weight > limit:
            break
    return weight


def _too_deep() -> ExpressionError:
    return ExpressionError(f"the expression is nested more than {MAX_DEPTH} levels deep")


def _too_much() -> ExpressionError:
    return ExpressionError(f"the expression takes more than {MAX_WORK} steps over these data")


def _first_line(error: Exception) -> str:
    # The library quotes the values it did not like, whole.
    return str(error).partition("\n")[0][:300]
