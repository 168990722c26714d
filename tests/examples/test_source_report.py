"""The example that newcomers copy: its skills measure rightly, and the report holds what they found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from refold import Failure, SkillRegistry, WorkflowEngine, WorkflowResult
from refold.tests.support.root_package import ROOT

EXAMPLE = ROOT / "examples/source_report"
SKILLS = SkillRegistry()
SKILLS.load_module(str(EXAMPLE / "skills.py"))
SPEC = yaml.safe_load((EXAMPLE / "workflow.yaml").read_text())


def call(skill_id: str, *args: Any) -> Any:
    """The plain function behind a skill."""
    return SKILLS.get(skill_id)(*args)


def measured(text: str, path: str = "core/a.py") -> Any:
    """The one module of a package that holds this text."""
    source = type(call("read_sources", ".", str(ROOT / "examples"), False)[0])
    return call("measure", "core", "refold", [source(path, text)]).modules[0]


async def report(folder: Path, monkeypatch: pytest.MonkeyPatch, **inputs: Any) -> WorkflowResult:
    """Run the workflow; its files go to the folder."""
    monkeypatch.setenv("REFOLD_FILES_ROOT", str(folder))
    async with WorkflowEngine("memory:", SKILLS) as engine:
        result = await engine.run(SPEC, "report", inputs={"root": str(ROOT), **inputs})
        assert result.success, result.message
        again = await engine.run(SPEC, "report", inputs={"root": str(ROOT), **inputs}, replay=True)
    assert again.workflow_hash == result.workflow_hash
    return result


async def test_the_report_shows_every_package_and_replays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = await report(tmp_path, monkeypatch)
    page = (tmp_path / "source-report.html").read_text()
    for row in result.output["packages"]:
        assert f"<th scope=row>{row['package']}<td" in page and f"{row['lines']:,}" in page
    assert result.output["tree_hash"] in page
    assert f"core/state.py: {len((ROOT / 'core/state.py').read_text().splitlines())} lines" in page


async def test_the_areas_of_the_picture_are_the_sizes_of_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = await report(tmp_path, monkeypatch)
    picture = ElementTree.parse(tmp_path / "source-report.svg")
    drawn = len(picture.findall(".//{http://www.w3.org/2000/svg}rect"))
    assert drawn == sum(1 for name in read_files(result) if (ROOT / name).read_text())


def read_files(result: WorkflowResult) -> list[str]:
    """The paths of all files that the run read."""
    return [file["path"] for step in result.steps if step.skill_id == "read_sources" for file in step.output]


def test_lines_functions_and_docstrings_are_counted() -> None:
    text = (
        '"""Doc."""\nclass A:\n    def f(self):\n        """Doc."""\n        def inner(): ...\n    def _g(self): ...\n'
    )
    module = measured(text)
    assert (module.lines, module.public, module.documented, module.names) == (6, 3, 2, ["A"])
    assert [(each.name, each.line, each.lines) for each in module.functions] == [
        ("f", 3, 3),
        ("_g", 6, 1),
        ("inner", 5, 1),
    ]


def test_relative_imports_are_resolved() -> None:
    imports = measured("from . import b\nfrom ..eventstore.log import EventLog\nimport os", "core/a.py").imports
    assert {"refold.core.b", "refold.eventstore.log", "os"} <= set(imports)
    assert "refold.core.b" in measured("from .b import x", "core/__init__.py").imports


def test_a_file_with_a_fault_is_named() -> None:
    with pytest.raises(Failure, match=r"core/a\.py:1"):
        measured("def")


def test_a_missing_folder_is_named() -> None:
    with pytest.raises(Failure, match="there is no folder nowhere"):
        call("read_sources", "nowhere")


def test_the_command_of_the_example_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFOLD_FILES_ROOT", str(tmp_path))
    monkeypatch.setenv("REFOLD_DATABASE_URL", f"sqlite:///{tmp_path}/refold.db")
    example = "examples/source_report"
    refold = [sys.executable, "-P", "-c", "from refold.ops.cli.main import main; main()"]
    command = [*refold, "run", f"{example}/workflow.yaml", "--skills", f"{example}/skills.py", "--json"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (tmp_path / "source-report.html").exists()
