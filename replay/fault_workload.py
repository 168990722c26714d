"""Skills and a function that go wrong, for fault injection."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from ..core.runtime.context import StepContext
from ..core.runtime.functions.workflow import workflow
from ..core.runtime.registry import SkillRegistry
from ..core.runtime.skill import skill


@skill("fault_hangs")
async def hangs() -> None:
    """Never ends."""
    await asyncio.Event().wait()


@skill("fault_silent", heartbeat_seconds=0.2)
async def silent(context: StepContext) -> None:
    """Gives no sign of life."""
    await asyncio.Event().wait()


@skill("fault_raises", deterministic=True)
def raises() -> None:
    """Raises what no skill should."""
    raise ValueError("nobody has foreseen this")


@skill("fault_once", at_most_once=True)
def once(marker: str) -> None:
    """Says that it began, and is then killed."""
    Path(marker).touch()
    time.sleep(60)


@skill("fault_huge", deterministic=True)
def huge() -> str:
    """More than an output may have."""
    return "x" * 3_000_000


@skill("fault_big", deterministic=True)
def big() -> str:
    """As much as an output may have, but not twice in one step's inputs."""
    return "x" * 1_500_000


@skill("fault_typed", deterministic=True)
def typed(number: int) -> int:
    """Wants a number."""
    return number


@skill("fault_no_json", deterministic=True)
def no_json() -> Any:
    """Returns what is no JSON."""
    return {1, 2}


@workflow("fault-broken")
async def run_broken() -> None:
    """Raises."""
    raise ValueError("a fault in the function")


def fault_skills() -> SkillRegistry:
    """The ready skills and these."""
    skills = SkillRegistry()
    skills.load_module(__name__)
    return skills
