"""Random specs, and skills that do in the engine exactly what `behave` does for the oracle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import sha256
from random import Random
from typing import Any

from refold import Failure, SkillRegistry, StepContext, canonical_json

from .oracle import SkillFailedError
from .own_codes import OWN_CODES

FORMS = ("inline_work", "async_work", "thread_work", "guess_work")
"""The ways to run a skill; `guess_work` is an async one that is not declared deterministic."""

_PATHS = ("", ".value", ".list[0]", ".list[1]", ".nested.deep", ".number")
_MISSING = (".absent", ".list[7]", ".value.deeper", "[0]")


def random_spec(random: Random, forms: tuple[str, ...] = FORMS, most: int = 12) -> dict[str, Any]:
    """A spec of up to `most` steps that any engine must accept."""
    count = random.randint(1, most)
    names = [f"s{number}" for number in range(count)]
    order = names.copy()
    random.shuffle(order)
    rank = {name: place for place, name in enumerate(order)}
    density = random.choice((0.0, 0.1, 0.3, 0.6))
    trouble = random.choice((0.0, 0.2, 0.5, 0.9))
    steps: list[dict[str, Any]] = []
    for name in names:
        earlier = [other for other in names if rank[other] < rank[name] and random.random() < density]
        steps.append(_step(random, name, earlier, forms, trouble))
    spec: dict[str, Any] = {"workflow_type": "random", "steps": steps, "inputs": {"n": random.randint(0, 9), "t": "é"}}
    if random.random() < 0.4:
        spec["output"] = _template(random, random.sample(names, min(2, count)))
    return spec


def _step(random: Random, name: str, earlier: list[str], forms: tuple[str, ...], trouble: float) -> dict[str, Any]:
    step: dict[str, Any] = {"step_id": name, "skill_id": random.choice(forms)}
    told = [other for other in earlier if random.random() < 0.4]
    inputs: dict[str, Any] = {"given": _template(random, [other for other in earlier if other not in told])}
    if told:
        step["depends_on"] = told
    if random.random() < trouble:
        inputs["fails"] = random.choice(["always", "fatal", "odd", 1, 2, 3])
        step["on_error"] = random.choice(["abort", "continue", "skip"])
        step["max_retries"] = random.randint(0, 3)
        step["retry"] = {"initial_seconds": random.choice([0, 0.001]), "max_seconds": 0.002}
    step["inputs"] = inputs
    return step


def _template(random: Random, names: list[str]) -> Any:
    parts: dict[str, Any] = {"plain": random.choice([1, 1.5, "x", None, "$${literal}", "${inputs.n}", "<${inputs.t}>"])}
    for name in names:
        path = random.choice(_MISSING) if random.random() < 0.05 else random.choice(_PATHS)
        reference = f"${{{name}{path}}}"
        parts[f"from_{name}"] = random.choice([reference, f"text {reference}!", [reference]])
    return parts


def behave(skill_id: str, inputs: dict[str, Any], seed: int, attempt: int) -> Any:
    """What all these skills compute, and when they fail."""
    fails = inputs.get("fails", 0)
    if fails == "fatal":
        raise SkillFailedError("MADE_FATAL", again=False)
    if fails == "always" or (fails == "odd" and seed % 2) or (isinstance(fails, int) and attempt <= fails):
        raise SkillFailedError("MADE_UP")
    digest = sha256(canonical_json([skill_id, inputs, seed])).hexdigest()
    return {"value": digest[:12], "list": [seed, digest[:4]], "nested": {"deep": None}, "number": seed / 7}


def work_skills(gate: Callable[[], Any]) -> SkillRegistry:
    """The skills of `FORMS`. Async and thread ones wait for `gate()`: an awaitable, or an event for threads."""
    registry = SkillRegistry()

    def done(skill_id: str, inputs: dict[str, Any], ctx: StepContext) -> Any:
        try:
            return behave(skill_id, inputs, ctx.seed, ctx.attempt)
        except SkillFailedError as error:
            raise Failure(error.code, "as the test wants it", retryable=None if error.again else False) from None

    @registry.skill("inline_work", deterministic=True, inline=True, failures=OWN_CODES)
    def inline_work(ctx: StepContext, **inputs: Any) -> Any:
        return done("inline_work", inputs, ctx)

    @registry.skill("async_work", deterministic=True, failures=OWN_CODES)
    async def async_work(ctx: StepContext, **inputs: Any) -> Any:
        await gate()
        return done("async_work", inputs, ctx)

    @registry.skill("guess_work", failures=OWN_CODES)
    async def guess_work(ctx: StepContext, **inputs: Any) -> Any:
        await gate()
        return done("guess_work", inputs, ctx)

    @registry.skill("thread_work", deterministic=True, failures=OWN_CODES)
    def thread_work(ctx: StepContext, **inputs: Any) -> Any:
        return done("thread_work", inputs, ctx)

    return registry


class Gates:
    """Async skills wait here until the test lets them go on, in an order of its own."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []
        self._open = False

    async def __call__(self) -> None:
        """Wait to be released."""
        if not self._open:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future

    def release_one(self, random: Random) -> bool:
        """Let one of those that wait go on; False when nobody waits."""
        self._waiting = [future for future in self._waiting if not future.done()]
        if not self._waiting:
            return False
        self._waiting.pop(random.randrange(len(self._waiting))).set_result(None)
        return True

    def open(self) -> None:
        """Let everybody through from now on."""
        self._open = True
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
