"""Names within requests, as the OpenAPI document describes them; `core` checks them, and says what is wrong."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path
from pydantic import Field

from ..core.seeds import MAX_SEED
from ..core.spec_problems import NAME, STEP_ID

_RUN: dict[str, Any] = {"pattern": "^[A-Za-z0-9][A-Za-z0-9._:@~-]{0,199}$"}

RunIdInPath = Annotated[str, Path(description="The run's id.", json_schema_extra=_RUN, examples=["order-7"])]
"""The id of a run within a path."""

RunId = Annotated[str, Field(json_schema_extra=_RUN)]
"""The id of a run within a body."""

Signal = Annotated[str, Field(json_schema_extra=_RUN)]
"""The name of a signal within a body."""

Queue = Annotated[str, Field(json_schema_extra={"pattern": "^[A-Za-z0-9._:@~-]{1,100}$"})]
"""The name of a queue within a body."""

Name = Annotated[str, Field(json_schema_extra={"pattern": NAME})]
"""The name or version of a workflow within a body."""

StepId = Annotated[str, Field(json_schema_extra={"pattern": STEP_ID})]
"""The id of a step within a body."""

Seed = Annotated[int, Field(json_schema_extra={"minimum": 0, "maximum": MAX_SEED})]
"""A base seed within a body."""

Label = Annotated[str, Field(json_schema_extra={"minLength": 1, "maxLength": 200})]
"""Somebody's name within a body."""
