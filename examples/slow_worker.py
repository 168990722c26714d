"""Runs the source report for the demo: like `refold run`, but slowly enough to be killed in the middle.

Every call of a skill is noted in a file before it begins, so that the demo can tell which steps were really executed,
and by which process, without asking the log.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import time
from pathlib import Path
from typing import Any

import yaml

from refold import Skill, SkillRegistry, StepContext, WorkflowEngine, canonical_json

EXAMPLE = Path(__file__).parent / "source_report"


def watched(known: Skill[..., Any], pace: float, notes: Path) -> Skill[..., Any]:
    """The same skill, which notes its call and then takes about `pace` seconds longer."""

    def call(context: StepContext, **inputs: Any) -> Any:
        with notes.open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()} {context.step_id}\n")
        time.sleep(pace * (0.5 + context.seed / 2**53))
        return known.function(**known.bind(canonical_json(inputs), context))

    return dataclasses.replace(known, function=call, inline=False)


async def work(options: argparse.Namespace) -> None:
    """Run, resume or replay the workflow, and print the result as JSON."""
    report = SkillRegistry()
    report.load_module(str(EXAMPLE / "skills.py"))
    skills = SkillRegistry(ready=False)
    for name in report.names():
        known = report.get(name)
        if not known.is_async:
            skills.register(watched(known, options.pace, options.notes))
    spec = yaml.safe_load((EXAMPLE / "workflow.yaml").read_text(encoding="utf-8"))
    async with WorkflowEngine(options.database, skills) as engine:
        # The same call starts the run, goes on with it after a crash, and returns it when it has ended.
        result = await engine.run(spec, options.run_id, seed=options.seed, replay=options.replay)
    print(json.dumps(result.to_json()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", required=True)
    parser.add_argument("--run-id", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pace", type=float, default=0)
    parser.add_argument("--notes", type=Path, required=True)
    parser.add_argument("--replay", action="store_true")
    asyncio.run(work(parser.parse_args()))
