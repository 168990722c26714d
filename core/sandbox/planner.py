"""Whether a plan may run: its skills, its side effects, and every string that a skill would be handed.

    report = PlannerSandbox().validate(plan)
    report.valid, report.violations, report.warnings

Nothing in a plan makes `validate` raise, take more than linear time, or answer more than its rules allow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, cast

from ..canonical import MAX_DEPTH, json_pointer
from ..errors import InvalidError
from ..spec import WorkflowSpec
from ..spec_problems import shown
from . import commands, paths, prompts, sql, template
from .layers import ExcessError, Hit, Layer, layers
from .report import SandboxFinding, SandboxReport, Severity
from .rules import SandboxRules, SideEffect

_SCANNERS: Final[tuple[tuple[str, Callable[[Layer], Iterator[Hit]]], ...]] = (
    ("command", commands.scan),
    ("sql", sql.scan),
    ("path", paths.scan),
    ("template", template.scan),
    ("prompt", prompts.scan),
)
_SHOWN: Final = 60


class PlannerSandbox:
    """Judges plans by a set of rules; without one, by the built-in set. It keeps nothing between two plans."""

    def __init__(self, rules: SandboxRules | None = None):
        self.rules = rules or SandboxRules()
        also = self.rules.also_forbidden or ()
        self._forbidden = frozenset(map(_plain_name, (*self.rules.forbidden_skills, *also)))

    def validate(self, plan: WorkflowSpec | Mapping[str, Any] | object, *, explain: bool = False) -> SandboxReport:
        """What speaks against `plan`, a spec or the decoded JSON of one; with `explain`, also through which decodings.

        A plan that is no spec has violations of the rule `plan.invalid`, and its strings are looked at all the same.
        """
        document, problems = _document(plan)
        check = _Check(self.rules, explain)
        check.add_all(problems)
        if isinstance(document, dict):
            fields = cast("dict[Any, Any]", document)
            for position, step in enumerate(_items(fields.get("steps"))):
                if isinstance(step, dict):
                    self._step(cast("dict[Any, Any]", step), f"/steps/{position}", check)
            for name in ("inputs", "output", "metadata"):
                if name in fields:
                    check.strings(fields[name], f"/{name}", ())
        return SandboxReport(tuple(check.violations), tuple(check.warnings), self.rules.version)

    def _step(self, step: Mapping[Any, Any], at: str, check: _Check) -> None:
        skill = step.get("skill_id")
        if isinstance(skill, str):
            check.add_all(self._skill(skill, f"{at}/skill_id"))
            for effect in self.rules.side_effects:
                if _plain_name(effect.skill) == _plain_name(skill) and _lacks_key(effect, step):
                    why = f"{skill} has a side effect and no idempotency_key: it could happen twice"
                    check.add(SandboxFinding("effect.no-key", "violation", at, why[:300], shown(skill)))
        off = [(each.argument, each.families) for each in self.rules.exemptions if each.skill == skill]
        for name in ("inputs", "idempotency_key"):
            if name in step:
                check.strings(step[name], f"{at}/{name}", off if name == "inputs" else ())

    def _skill(self, skill: str, pointer: str) -> list[SandboxFinding]:
        parts = {_plain_name(skill), *map(_plain_name, re.split(r"[./:@+]+", skill[:1000]))}
        if hit := parts & self._forbidden:
            why = f"the skill {sorted(hit)[0]} is forbidden to plans"
            return [SandboxFinding("skill.forbidden", "violation", pointer, why, shown(skill))]
        allowed = self.rules.allowed_skills
        if allowed is not None and skill not in allowed:
            why = "the skill is not among those that plans may call"
            return [SandboxFinding("skill.not-allowed", "violation", pointer, why, shown(skill))]
        return []


class _Text(NamedTuple):
    text: str
    pointer: str
    off: frozenset[str]


class _Check:
    """The findings of one plan, and what room is left."""

    def __init__(self, rules: SandboxRules, explain: bool):
        self.violations: list[SandboxFinding] = []
        self.warnings: list[SandboxFinding] = []
        self._rules = rules
        self._explain = explain
        self._room = rules.max_characters

    @property
    def _is_over(self) -> bool:
        return len(self.violations) >= self._rules.max_findings or self._room < 0

    def add(self, finding: SandboxFinding) -> None:
        found = self.violations if finding.severity == "violation" else self.warnings
        if len(found) < self._rules.max_findings:
            found.append(finding)

    def add_all(self, findings: list[SandboxFinding]) -> None:
        for finding in findings:
            self.add(finding)

    def strings(self, value: Any, pointer: str, off: Any) -> None:
        """Looks at every string and key of `value`; `off` are the exempt pointers below `pointer`, with families."""
        try:
            for text in _texts(value, pointer, off):
                if self._is_over:
                    return
                self._text(text)
        except _TooDeepError:
            self.add(SandboxFinding("plan.limit", "violation", pointer, f"nested more than {MAX_DEPTH} levels deep"))

    def _text(self, text: _Text) -> None:
        seen: set[str] = set()
        try:
            for layer in layers(text.text, self._rules.max_depth):
                self._room -= len(layer.text)
                if self._room < 0:
                    limit = f"more than {self._rules.max_characters} characters to look at"
                    self.violations = self.violations[: self._rules.max_findings - 1]
                    self.add(SandboxFinding("plan.limit", "violation", text.pointer, limit))
                    return
                for family, scan in _SCANNERS:
                    if family in text.off:
                        continue
                    for hit in scan(layer):
                        if hit.rule not in seen:
                            seen.add(hit.rule)
                            self.add(self._finding(hit, layer, text.pointer))
        except ExcessError:
            why = "encodings nested deeper, or holding more, than is looked into"
            self.add(SandboxFinding("plan.encoding", "violation", text.pointer, why, _excerpt(text.text, 0)))

    def _finding(self, hit: Hit, layer: Layer, pointer: str) -> SandboxFinding:
        severity: Severity = "warning" if hit.rule.startswith("prompt.") else "violation"
        decoded = f" (after decoding: {', '.join(layer.way)})" if layer.way else ""
        path = layer.way if self._explain else ()
        return SandboxFinding(hit.rule, severity, pointer, hit.why + decoded, _excerpt(layer.text, hit.start), path)


class _TooDeepError(Exception):
    pass


def _document(plan: object) -> tuple[object, list[SandboxFinding]]:
    if isinstance(plan, WorkflowSpec):
        return plan.to_json(), []
    document = dict(cast("Mapping[Any, Any]", plan)) if isinstance(plan, Mapping) else plan
    try:
        WorkflowSpec.parse(document)
    except InvalidError as error:
        found = [SandboxFinding("plan.invalid", "violation", each.pointer, each.reason) for each in error.problems]
        return document, found
    return document, []


def _lacks_key(effect: SideEffect, step: Mapping[Any, Any]) -> bool:
    if step.get("idempotency_key"):
        return False
    inputs = step.get("inputs")
    if effect.argument is None:
        return True
    given = cast("dict[Any, Any]", inputs).get(effect.argument) if isinstance(inputs, dict) else None
    value = effect.default if given is None else given
    return not isinstance(value, str) or value.strip().upper() not in effect.harmless


def _texts(value: Any, pointer: str, off: Any) -> Iterator[_Text]:
    """The strings and keys of a JSON value in document order, without recursion. Raises _TooDeepError."""
    stack: list[tuple[Any, str, int]] = [(value, pointer, 0)]
    while stack:
        item, at, depth = stack.pop()
        if isinstance(item, str):
            yield _Text(item, at, _off(at[len(pointer) :], off))
        elif isinstance(item, dict | list | tuple):
            if depth >= MAX_DEPTH:
                raise _TooDeepError
            is_object = isinstance(item, dict)
            members = cast("dict[Any, Any]", item).items() if is_object else enumerate(cast("list[Any]", item))
            below = [
                (member, at + json_pointer((str(key) if is_object else key,)), depth + 1) for key, member in members
            ]
            if is_object:
                keys = [str(key) for key in cast("dict[Any, Any]", item)]
                for key, (_, place, _) in zip(keys, below, strict=True):
                    yield _Text(key, place, _off(place[len(pointer) :], off))
            stack.extend(reversed(below))


def _off(below: str, off: Any) -> frozenset[str]:
    return frozenset(
        family
        for argument, families in off
        if below == argument or below.startswith(argument + "/")
        for family in families
    )


def _items(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list | tuple) else []


def _plain_name(skill: str) -> str:
    return skill.lower().replace("-", "_")


def _excerpt(text: str, start: int) -> str:
    begin = max(0, start - 10)
    cut = text[begin : begin + _SHOWN]
    return cut.encode("ascii", "backslashreplace").decode().translate(_CONTROLS)[:80]


_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), 127)}
