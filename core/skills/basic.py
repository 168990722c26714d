"""Skills that compute: the same inputs and seed always give the same output."""

from __future__ import annotations

import hashlib
from typing import Any

from ..canonical import canonical_json
from ..errors import Failure
from ..runtime.context import StepContext
from ..runtime.skill import skill
from .expressions import ExpressionError, evaluate


@skill(deterministic=True, inline=True)
def echo(**inputs: Any) -> dict[str, Any]:
    """Return the inputs."""
    return inputs


@skill("hash", deterministic=True, inline=True)
def hash_inputs(**inputs: Any) -> dict[str, str]:
    """SHA-256 of the canonical JSON (RFC 8785) of the inputs, in hexadecimal."""
    return {"sha256": hashlib.sha256(canonical_json(inputs)).hexdigest()}


@skill("random", deterministic=True, inline=True)
def random_value(context: StepContext) -> dict[str, float]:
    """A number in [0, 1) that follows from the step's seed alone."""
    return {"value": context.seed / 2**53}


@skill(deterministic=True, inline=True)
def transform(expression: str, **inputs: Any) -> Any:
    """Evaluate a JMESPath expression (https://jmespath.org/specification.html) over the other inputs.

    Fails with TRANSFORM_FAILED when the expression is wrong, does not fit the inputs, or costs too much.
    """
    try:
        return evaluate(expression, inputs)
    except ExpressionError as error:
        raise Failure("TRANSFORM_FAILED", str(error), retryable=False) from error
