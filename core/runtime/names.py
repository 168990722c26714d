"""What a name stands for: a workflow function or a registered spec."""

from __future__ import annotations

from ..errors import CallError, Problem, SpecNotFoundError
from ..spec_problems import did_you_mean
from .admission import Named, Target
from .registry import SkillRegistry
from .specs import SpecRegistry


async def resolve(
    skills: SkillRegistry, specs: SpecRegistry, name: str, version: str | None, tenant: str, *, here: bool
) -> Target:
    """The workflow that is called `name`: a function registered here, else the tenant's spec (its latest version).

    A name that neither knows is taken for a function that workers know, unless it is to run `here`. Raises
    SpecNotFoundError, CallError for a version that there is not.
    """
    known = skills.workflow(name)
    if known is not None:
        if version is not None and version != known.version:
            reason = f"workflow {name!r} is registered in version {known.version!r}, not {version!r}"
            raise CallError(Problem("", reason, "name no version, or load the code of that one"))
        return known
    try:
        return (await specs.get(name, version, tenant)).spec
    except SpecNotFoundError:
        types = sorted({each.workflow_type for each in await specs.list(tenant)})
        # A name much like a registered one is a slip of the pen.
        if here or did_you_mean(name, types):
            raise
        return Named(name, version or "")
