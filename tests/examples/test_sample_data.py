"""The converters on real inputs, from the folder that REFOLD_SAMPLE_DATA names; nothing of it is in the repository."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from refold import SkillRegistry, WorkflowEngine
from refold.examples.convert import agent_plans, wfcommons
from refold.tests.support.root_package import ROOT


@pytest.fixture
def samples() -> Path:
    """The folder of samples."""
    folder = os.environ.get("REFOLD_SAMPLE_DATA")
    if not folder:
        pytest.skip("REFOLD_SAMPLE_DATA is not set: real WfCommons, NESTFUL and BFCL inputs are not tried")
    return Path(folder)


def files_of(folder: Path, pattern: str) -> list[Path]:
    """The files of the folder that match, of which there must be some."""
    files = sorted(folder.glob(pattern))
    assert files, f"no {pattern} in {folder}"
    return files


async def test_real_workflows_end_with_the_same_hash_on_every_store(
    samples: Path, tmp_path: Path, postgres_url: str
) -> None:
    skills = SkillRegistry()
    skills.load_module(str(ROOT / "examples/convert/skills.py"))
    for number, file in enumerate(files_of(samples, "wfcommons/*.json")):
        for skill in ("hash", "task"):
            spec = wfcommons.convert(json.loads(file.read_bytes()), skill=skill)
            hashes: set[str | None] = set()
            for url in (f"sqlite:///{tmp_path}/refold.db", postgres_url):
                async with WorkflowEngine(url, skills) as engine:
                    result = await engine.run(spec, f"{skill}-{number}")
                assert result.success, f"{file.name}: {result.message}"
                hashes.add(result.workflow_hash)
            assert len(hashes) == 1, file.name


def test_real_plans_become_specs(samples: Path) -> None:
    for file in files_of(samples, "agent-plans/*.jsonl"):
        for line, plan in agent_plans.plans(file.read_text(encoding="utf-8")):
            spec = agent_plans.convert(plan)
            calls = plan["calls"] if "calls" in plan else [call for turn in plan["turns"] for call in turn]
            assert len(spec.steps) == len(calls), f"{file.name}:{line}"
