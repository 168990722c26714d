"""The skills that an engine knows, by name."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any, ParamSpec, TypeVar, Unpack, cast, overload

from ..errors import CallError, Failure, Problem
from ..failures import FailureCatalog
from ..skills.library import ready_skills
from .functions.workflow import Workflow
from .scheduling.schedule_run import run_schedule
from .skill import Declaration, Skill
from .skill import skill as declare

P = ParamSpec("P")
R = TypeVar("R")
AnySkill = Skill[..., Any]
"""A skill of any signature."""
AnyWorkflow = Workflow[..., Any]
"""A workflow function of any signature."""


class SkillRegistry:
    """Skills and workflow functions by name: all that a process can run.

    A new one holds the ready library unless `ready=False`; no two registries share anything.
    """

    def __init__(self, *, ready: bool = True) -> None:
        self._skills: dict[str, AnySkill] = {known.skill_id: known for known in ready_skills()} if ready else {}
        self._workflows: dict[str, AnyWorkflow] = {run_schedule.workflow_type: run_schedule} if ready else {}

    def __contains__(self, skill_id: object) -> bool:
        return skill_id in self._skills

    def __len__(self) -> int:
        return len(self._skills)

    def names(self) -> list[str]:
        """Every name, sorted."""
        return sorted(self._skills)

    def find(self, skill_id: str) -> AnySkill | None:
        """The skill of this name, None if there is none."""
        return self._skills.get(skill_id)

    def get(self, skill_id: str) -> AnySkill:
        """The skill of this name. Raises `Failure` SKILL_UNKNOWN, with the nearest name if there is one."""
        found = self._skills.get(skill_id)
        if found is None:
            close = difflib.get_close_matches(skill_id, self._skills, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise Failure("SKILL_UNKNOWN", f"no skill named {skill_id!r} is registered{hint}", retryable=False)
        return found

    def register(self, function: Callable[P, R] | Skill[P, R]) -> Skill[P, R]:
        """Add a skill, or a function under its own name. Adding the same one again changes nothing.

        Raises `CallError` when the name is taken, or when an annotation is nothing that JSON can fill.
        """
        added = cast(Skill[P, R], function) if isinstance(function, Skill) else declare(function)
        known = self._skills.get(added.skill_id)
        if known is not None and (known is function or known.function is function):
            return cast(Skill[P, R], known)
        self._check(added)
        self._skills[added.skill_id] = added
        return added

    def workflow(self, workflow_type: str) -> AnyWorkflow | None:
        """The workflow function of this type, None if there is none."""
        return self._workflows.get(workflow_type)

    def workflows(self) -> list[AnyWorkflow]:
        """Every workflow function, by type."""
        return [self._workflows[name] for name in sorted(self._workflows)]

    def add_workflow(self, function: AnyWorkflow) -> None:
        """Add a workflow function. Adding the same one again changes nothing; CallError when the name is taken."""
        self._check_workflow(function)
        self._workflows[function.workflow_type] = function

    @overload
    def skill(self, skill_id: Callable[P, R], /) -> Skill[P, R]: ...
    @overload
    def skill(
        self, skill_id: str | None = None, **declaration: Unpack[Declaration]
    ) -> Callable[[Callable[P, R]], Skill[P, R]]: ...
    def skill(self, skill_id: Any = None, **declaration: Any) -> Any:
        """As the decorator `skill`, and registered at once."""
        if callable(skill_id):
            return self.register(declare(skill_id))

        def add(function: Callable[P, R]) -> Skill[P, R]:
            return self.register(declare(skill_id, **declaration)(function))

        return add

    def load_module(self, name: str) -> list[AnySkill | AnyWorkflow]:
        """Register every skill and workflow function found in `package.module` or in a .py file; all or none.

        Raises `CallError` when it cannot be imported, holds neither, or a name is taken.
        """
        values = vars(_imported(name)).values()
        # By name, so that what is bound to two variables is one, and the order is always the same.
        skills = _by_name(name, [(cast(AnySkill, v).skill_id, v) for v in values if isinstance(v, Skill)], "skills")
        workflows = _by_name(
            name, [(cast(AnyWorkflow, v).workflow_type, v) for v in values if isinstance(v, Workflow)], "workflows"
        )
        if not skills and not workflows:
            fix = "decorate functions with @skill or @workflow"
            raise CallError(Problem("", f"{name} holds no skill and no workflow", fix))
        for skill_id in skills:
            self._check(skills[skill_id])
        for function in workflows.values():
            self._check_workflow(function)
        self._check_codes(*skills.values(), *workflows.values())
        self._skills.update(skills)
        self._workflows.update(workflows)
        return [*skills.values(), *workflows.values()]

    def failures(self) -> FailureCatalog:
        """Refold's codes, and those that skills and workflow functions declare."""
        catalog = FailureCatalog()
        for known in (*self._skills.values(), *self._workflows.values()):
            if known.failures is not None:
                catalog.include(known.failures)
        return catalog

    def describe(self) -> list[dict[str, Any]]:
        """What every skill declares, takes and says of itself, as JSON, sorted by name."""
        return [_described(self._skills[skill_id]) for skill_id in self.names()]

    def _check_workflow(self, added: AnyWorkflow) -> None:
        known = self._workflows.get(added.workflow_type)
        if known is not None and known is not added:
            where = f"{known.function.__module__}.{known.function.__qualname__}"
            raise CallError(Problem("", f"the workflow {added.workflow_type!r} is taken by {where}", "rename one"))
        self._check_codes(added)
        _ = added.binder

    def _check(self, added: AnySkill) -> None:
        known = self._skills.get(added.skill_id)
        if known is not None and known is not added:
            where = f"{known.function.__module__}.{known.function.__qualname__}"
            fix = "give it another name, or start from SkillRegistry(ready=False)"
            raise CallError(Problem("", f"the name {added.skill_id!r} is taken by {where}", fix))
        self._check_codes(added)
        # The ready skills are built on first use, for `import refold` must be quick; others fail early.
        _ = added.binder

    def _check_codes(self, *added: AnySkill | AnyWorkflow) -> None:
        """A code has one meaning in all that a process can run."""
        declared = [each.failures for each in added if each.failures is not None]
        if declared:
            catalog = self.failures()
            for own in declared:
                catalog.include(own)


def _by_name(module: str, named: list[tuple[str, Any]], what: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in sorted(named, key=lambda pair: pair[0]):
        if found.setdefault(name, value) is not value:
            raise CallError(Problem("", f"{module} holds two {what} named {name!r}", "rename one"))
    return found


def _imported(name: str) -> ModuleType:
    try:
        return _imported_file(Path(name)) if name.endswith(".py") else importlib.import_module(name)
    except (Exception, SystemExit) as error:  # a user's module runs here, and may raise anything
        reason = f"{name} cannot be imported: {type(error).__name__}: {error}"
        raise CallError(Problem("", reason, "name a module that Python finds, or the path of a .py file")) from error


def _imported_file(path: Path) -> ModuleType:
    path = path.resolve(strict=True)
    # One name for one file, so that a file loaded twice gives the same skills; never that of an installed module.
    name = f"refold_skills_{path.stem}_{sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    # Before it runs: dataclasses and pydantic look their module up by name.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _described(known: AnySkill) -> dict[str, Any]:
    rest = known.parameters.rest
    return {
        "skill_id": known.skill_id,
        "version": known.version,
        "summary": (inspect.getdoc(known.function) or "").partition("\n")[0],
        "inputs": [{"name": p.name, "type": p.type_name, "required": p.required} for p in known.parameters.named],
        "other_inputs": None if rest is None else rest.type_name,
        "deterministic": known.deterministic,
        "side_effect": known.side_effect,
        "cost_cents": known.cost_cents,
        "retry": None if known.retry is None else dataclasses.asdict(known.retry),
        "at_most_once": known.at_most_once,
        "inline": known.inline,
        "is_async": known.is_async,
        "failures": [] if known.failures is None else [entry.code for entry in known.failures.own()],
    }
