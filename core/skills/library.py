"""The ready library: the skills that every registry starts with."""

from __future__ import annotations

from typing import Any

from ..runtime.skill import Skill
from . import approval, basic, children, files, http, waiting


def ready_skills() -> tuple[Skill[..., Any], ...]:
    """The ready-made skills, the same objects on every call."""
    return (
        basic.echo,
        basic.hash_inputs,
        basic.random_value,
        basic.transform,
        waiting.sleep,
        waiting.wait_signal,
        approval.approval,
        children.run_workflow,
        http.http_call,
        files.file_write,
    )
