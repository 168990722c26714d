"""The reference pages name everything there is."""

from __future__ import annotations

import dataclasses
import inspect
import re

import pytest

import refold
from refold import Skill, SkillRegistry, StepContext, StepDescriptor, WorkflowSpec, workflow
from refold.core.events import EVENTS
from refold.core.runtime.functions import durable
from refold.core.spec import RetrySettings
from refold.tests.support.root_package import ROOT

SPECS = (ROOT / "docs/specs.md").read_text()
SKILLS = (ROOT / "docs/skills.md").read_text()


@pytest.mark.parametrize(
    "name", [*WorkflowSpec.model_fields, *StepDescriptor.model_fields, *RetrySettings.model_fields]
)
def test_every_field_of_a_spec_is_explained(name: str) -> None:
    assert f"\n| `{name}` |" in SPECS, f"docs/specs.md says nothing of {name}"


@pytest.mark.parametrize("skill", SkillRegistry().describe(), ids=lambda skill: skill["skill_id"])
def test_every_ready_skill_is_explained_with_its_inputs(skill: dict[str, list[dict[str, str]]]) -> None:
    row = next((line for line in SKILLS.splitlines() if line.startswith(f"| `{skill['skill_id']}` |")), "")
    missing = [each["name"] for each in skill["inputs"] if f"`{each['name']}`" not in row]
    assert row and not missing, f"docs/skills.md: {skill['skill_id']}: {missing or 'no row'}"


def test_every_option_of_a_skill_and_field_of_its_context_is_explained() -> None:
    options = {field.name for field in dataclasses.fields(Skill) if field.init} - {"function", "skill_id"}
    names = options | {field.name for field in dataclasses.fields(StepContext) if field.init and field.repr}
    assert not {name for name in names if f"`{name}`" not in SKILLS}


WORKFLOWS = (ROOT / "docs/workflows.md").read_text()


DURABLE = [name for name in refold.__all__ if getattr(getattr(refold, name), "__module__", None) == durable.__name__]


@pytest.mark.parametrize("name", DURABLE)
def test_every_function_of_workflows_is_explained_with_its_parameters(name: str) -> None:
    found = re.search(rf"^\| `{name}\(.*$", WORKFLOWS, re.M)
    assert found is not None, f"docs/workflows.md says nothing of {name}"
    call = found[0].split("`")[1]
    missing = [each for each in inspect.signature(getattr(refold, name)).parameters if each not in call]
    assert not missing, f"docs/workflows.md: {name} has parameters that are not shown: {missing}"


def test_every_option_of_a_workflow_is_explained() -> None:
    options = set(inspect.signature(workflow).parameters) - {"workflow_type"}
    assert not {name for name in options if f"\n| `{name}` |" not in WORKFLOWS}


def test_every_event_is_in_the_table_of_the_architecture() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    table = [row.split("|")[1] for row in page.partition("## Events")[2].splitlines() if row.startswith("| `")]
    assert set(EVENTS) == {topic for cell in table for topic in re.findall(r"`([^`]+)`", cell)}
