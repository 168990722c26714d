"""What goes wrong with secrets and sensitive data, each for real, by the code that must be told."""

from __future__ import annotations

import asyncio
from typing import Any

from refold import SkillRegistry, WorkflowEngine, workflow
from refold.core.runtime.secret_sources import Vault
from refold.eventstore.master_keys import MasterKeys
from refold.ops.certify_faults import Bench

from .provoked_runs import Provoke, code_of
from .sensitive_skills import lookup, skills
from .workflows import events_of, soon, spec, step, until

WITH_TOKEN = step("a", "echo", x="${secrets.TOKEN}")


async def _with(bench: Bench, vault: Vault, *steps: dict[str, Any]) -> str | None:
    async with WorkflowEngine(bench.store, SkillRegistry(), secrets=vault) as engine:
        return (await engine.run(spec(*steps), bench.run_id)).error_code


async def _refused(bench: Bench) -> str | None:
    return await _with(bench, Vault.of({"TOKEN": "abc"}), WITH_TOKEN)


async def _unavailable(bench: Bench) -> str | None:
    return await _with(bench, Vault.parse("command:/bin/false"), WITH_TOKEN)


async def _exposed(bench: Bench) -> str | None:
    asked = step("a", "approval", reason="use ${secrets.TOKEN}?", approvers=["ada"])
    return await _with(bench, Vault.of({"TOKEN": "hunter-22-canary"}), asked)


async def _key_missing(bench: Bench) -> str | None:
    async with WorkflowEngine(bench.store, skills()) as engine:
        document = spec(step("a", "use", x="${inputs.name}"), sensitive_inputs=["name"])
        return await code_of(engine.run(document, bench.run_id, inputs={"name": "Ada"}))


async def _undeclared(bench: Bench) -> str | None:
    @workflow
    async def open_one() -> Any:
        return await lookup("Ada")

    async with WorkflowEngine(bench.store, skills(open_one), data_keys=_keys(bench)) as engine:
        return (await engine.run(open_one, bench.run_id)).error_code


async def _erased(bench: Bench) -> str | None:
    """The data are erased while the run waits and is in no memory."""
    keys = _keys(bench)
    waits = spec(
        step("find", "lookup", who="Ada"),
        step("w", "wait_signal", name="go", depends_on=["find"]),
        step("use", "use", card="${find.card}", depends_on=["w"]),
    )
    async with WorkflowEngine(bench.store, skills(), data_keys=keys) as engine:
        task = asyncio.create_task(engine.run(waits, bench.run_id))
        await until(lambda: any(each.topic == "step.waiting" for each in events_of(bench.store, bench.run_id)))
        await engine.close()
        await asyncio.gather(task, return_exceptions=True)
    async with WorkflowEngine(bench.store, skills(), data_keys=keys) as engine:
        await engine.erasures.run(bench.run_id)
        await soon(engine.signal(bench.run_id, "go"))
        return (await soon(engine.resume(bench.run_id))).error_code


def _keys(bench: Bench) -> Any:
    path = bench.folder / "data-keys.json"
    MasterKeys.new().save(path)
    return path


SECRECY: dict[str, Provoke] = {
    "SECRET_REFUSED": _refused,
    "SECRET_UNAVAILABLE": _unavailable,
    "SECRET_EXPOSED": _exposed,
    "DATA_KEY_MISSING": _key_missing,
    "SENSITIVE_UNDECLARED": _undeclared,
    "DATA_ERASED": _erased,
}
"""How each code is brought about."""
