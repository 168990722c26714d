"""What a name stands for: a workflow function that is registered here, or else one that workers may know."""

from __future__ import annotations

from ..errors import CallError, Problem
from .admission import Named, Target
from .registry import SkillRegistry


async def resolve(skills: SkillRegistry, name: str, version: str | None, tenant: str) -> Target:
    """The target that `name` names for a tenant. Raises CallError when the version is not the one there is."""
    known = skills.workflow(name)
    if known is None:
        return Named(name, version or "")
    if version is not None and version != known.version:
        reason = f"workflow {name!r} is registered in version {known.version!r}, not {version!r}"
        raise CallError(Problem("", reason, "name no version, or load the code of that one"))
    return known
