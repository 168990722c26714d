"""Whether a plan may run: its skills, its side effects, and every string that a skill would be handed.

    report = PlannerSandbox().validate(plan)
    report.valid, report.violations, report.warnings

Nothing in a plan makes `validate` raise, take more than linear time, or answer more than its rules allow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from ..errors import InvalidError
from ..spec import WorkflowSpec
from ..spec_problems import shown
from . import commands, paths, prompts, sql, template
from .layers import PROMPT_CHARACTERS, ExcessError, Layer, Piece, layers
from .loose import Effort, TooMuchError
from .net import Net, Rule
from .report import SandboxFinding, SandboxReport, Severity
from .rules import SandboxRules, SideEffect
from .strings import Strings

_RULES = (*commands.RULES, *sql.RULES, *paths.RULES, *template.RULES)
_NETS: Final = {"": Net(_RULES), "comments": Net(sql.RULES), "digits": Net(()), "slashes": Net(paths.RULES)}
"""The rules for layers made by a way of writing that matters to one family alone, and for all others."""
_PROMPTS: Final = Net(prompts.RULES)
_EFFORT: Final = 60_000
"""Units of work on one plan, however long it is; ordinary plans of 2 MB need a tenth."""
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
        strings = Strings(self.rules.max_characters)
        if isinstance(document, dict):
            fields = cast("dict[Any, Any]", document)
            for position, step in enumerate(_items(fields.get("steps"))):
                if isinstance(step, dict):
                    self._step(cast("dict[Any, Any]", step), f"/steps/{position}", check, strings)
            for name in ("inputs", "output", "metadata"):
                if name in fields:
                    strings.collect(fields[name], f"/{name}", ())
        check.add_all(strings.problems)
        if strings.room >= 0:
            check.strings(strings)
        return SandboxReport(tuple(check.violations), tuple(check.warnings), self.rules.version)

    def forbids(self, skill: str) -> bool:
        """Whether no plan may name the skill, or none but those listed."""
        return bool(self._skill(skill, ""))

    def _step(self, step: Mapping[Any, Any], at: str, check: _Check, strings: Strings) -> None:
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
                strings.collect(step[name], f"{at}/{name}", off if name == "inputs" else ())

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


class _Check:
    """The findings of one plan."""

    def __init__(self, rules: SandboxRules, explain: bool):
        self.violations: list[SandboxFinding] = []
        self.warnings: list[SandboxFinding] = []
        self._rules = rules
        self._explain = explain
        self._known: set[tuple[str, int]] = set()
        self._unread = False

    def add(self, finding: SandboxFinding) -> None:
        found = self.violations if finding.severity == "violation" else self.warnings
        if len(found) < self._rules.max_findings:
            found.append(finding)

    def add_all(self, findings: Iterable[SandboxFinding]) -> None:
        for finding in findings:
            self.add(finding)

    def strings(self, strings: Strings) -> None:
        """Looks at every string, and at what is encoded in it."""
        try:
            self._look(strings, Effort(_EFFORT))
        except ExcessError as error:
            why = "encodings nested deeper, or holding more, than is looked into"
            self._refuse("plan.encoding", strings.pointer(error.owner), why, strings.texts[error.owner])
        except TooMuchError:
            why = "more encodings, or more places that could be an attack, than are looked at"
            self._refuse("plan.limit", "", why)

    def _refuse(self, rule: str, pointer: str, why: str, text: str = "") -> None:
        self.violations = self.violations[: self._rules.max_findings - 1]
        self.add(SandboxFinding(rule, "violation", pointer, why, _excerpt(text, 0)))

    def _look(self, strings: Strings, effort: Effort) -> None:
        room = PROMPT_CHARACTERS
        for layer in layers(strings.texts, self._rules.max_depth, effort):
            if layer.parent is None:
                self._add_plain(prompts.UNSEEN, layer, prompts.unseen(layer.text, effort), strings)

            if not layer.is_spelling:
                self._add_plain(prompts.FOREIGN, layer, prompts.foreign(layer.lower), strings)

            def is_known(rule: Rule, piece: Piece | None, layer: Layer = layer) -> bool:
                found = self.warnings if rule.family == "prompt" else self.violations
                if len(found) >= self._rules.max_findings:
                    return True
                if piece is None:
                    return layer.is_single and (rule.name, 0) in self._known
                return (rule.name, piece.owner) in self._known or rule.family in strings.off(piece.owner)

            net = _NETS.get(layer.steps[-1] if layer.steps else "", _NETS[""])
            for hit in net.hits(layer, effort, is_known):
                self._add(hit.rule, layer, hit.start, hit.piece, strings)
            if not layer.steps or layer.steps[-1] not in ("comments", "slashes"):
                for hit in _PROMPTS.hits(layer, effort, is_known, room):
                    self._add(hit.rule, layer, hit.start, hit.piece, strings)
                if len(layer.data) > room and not self._unread:
                    self._unread = True
                    why = f"the text is longer than {PROMPT_CHARACTERS:,} characters: the rest is not searched for this"
                    self.add(SandboxFinding("prompt.unread", "warning", "", why))
                room = max(0, room - len(layer.data))
            if layer.parent is None:
                self._add_plain(template.REFERENCE, layer, template.references(layer, effort), strings)

    def _add_plain(self, rule: Rule, layer: Layer, places: Iterable[int], strings: Strings) -> None:
        for at in places:
            piece = layer.piece(at)
            off = strings.off(piece.owner)
            if rule.family not in off and ("template.expression", piece.owner) not in self._known:
                self._add(rule, layer, at, piece, strings)
            if layer.is_single or len(self._known) > 4 * self._rules.max_findings:
                return

    def _add(self, rule: Rule, layer: Layer, at: int, piece: Piece, strings: Strings) -> None:
        if (rule.name, piece.owner) in self._known:
            return
        self._known.add((rule.name, piece.owner))
        severity: Severity = "warning" if rule.family == "prompt" else "violation"
        way = layer.way(at)
        decoded = f" (after decoding: {', '.join(way)})" if way else ""
        excerpt = _excerpt(piece.text, at - piece.start)
        pointer = strings.pointer(piece.owner)
        self.add(
            SandboxFinding(rule.name, severity, pointer, rule.why + decoded, excerpt, way if self._explain else ())
        )


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


def _items(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list | tuple) else []


def _plain_name(skill: str) -> str:
    return skill.lower().replace("-", "_")


def _excerpt(text: str, start: int) -> str:
    begin = max(0, start - 10)
    cut = text[begin : begin + _SHOWN]
    return cut.encode("ascii", "backslashreplace").decode().translate(_CONTROLS)[:80]


_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), 127)}
