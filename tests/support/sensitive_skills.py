"""Skills that have to do with sensitive data, and what they were given."""

from __future__ import annotations

from typing import Any

from refold import SkillRegistry, StepContext, skill

SECRET = "4711-canary-of-the-sea"
seen: list[Any] = []


@skill(inline=True, deterministic=True)
def use(**inputs: Any) -> Any:
    seen.append(inputs)
    return {"got": inputs, "list": [inputs]}


@skill(sensitive=True)
async def lookup(who: str) -> dict[str, Any]:
    return {"name": who, "card": SECRET}


@skill
def fails(value: Any = None) -> None:
    raise ValueError(f"cannot do it with {value}")


@skill
async def peeks(ctx: StepContext, value: Any = None) -> Any:
    seen.append(dict(ctx.outputs))
    ctx.heartbeat({"at": value})
    return value


def skills(*workflows: Any) -> SkillRegistry:
    registry = SkillRegistry()
    registry.register(use)
    registry.register(lookup)
    registry.register(fails)
    registry.register(peeks)
    for each in workflows:
        registry.add_workflow(each)
    return registry
