"""Documents of users as models: everything is checked, and every fault is told with its pointer, reason and fix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from .errors import CallError, InvalidError
from .spec_problems import explain


class StrictModel(BaseModel):
    """Frozen; of exactly these fields, each of exactly its type. Raises what `fault` says for anything else."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    fault: ClassVar[type[InvalidError]] = CallError
    """The error that a wrong document is told by."""

    def __init__(self, /, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise self.fault(explain(error, type(self).model_fields)) from None


def made(model: Any, value: Any) -> Any:
    """`value` as a `model` if it is an object, else as it is: pydantic then says what is wrong with it."""
    return model(**{str(key): item for key, item in value.items()}) if isinstance(value, Mapping) else value  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]


def each(model: Any) -> BeforeValidator:
    """Makes the parts of a document that are models of their own."""
    return BeforeValidator(lambda value: made(model, value))
