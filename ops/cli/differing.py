"""`refold diff`: in what two runs, two goldens or two folders of goldens differ, and of which class that is."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, get_args

from rich.text import Text

from ...core.divergence import CRITICAL, VOLATILE_FIELDS, Divergence, DivergenceKind, RunFacts, divergences
from ...core.errors import CallError, Problem
from ...core.ids import check_tenant
from ...core.runtime.registry import SkillRegistry
from ...eventstore.store import Store
from ...projections.golden_faults import GoldenFault, lines_of
from ...projections.golden_keys import GoldenKeys
from ...projections.golden_names import GOLDEN, SIGNATURE
from ...projections.golden_signatures import check_signature
from ...projections.run_facts import golden_facts
from ...replay.comparing import verified_facts
from ..settings import golden_key_file
from .faults import DIVERGED, OK
from .output import console, plain, stdout_for_json_only, write_json
from .progress import watched
from .reading import existing_store, read_skills
from .streams import note

_STYLES = {"VOLATILE_LEAK": "yellow", "EXTERNAL_VARIATION": "yellow"}


class Asked(NamedTuple):
    """What the command was given: names of members that may differ (None: the usual ones), classes that do not fail
    it, whether a golden may be on one side only, and where things are."""

    volatile: Sequence[str] | None
    accepted: Sequence[str]
    partial: bool
    modules: Sequence[str]
    keys: str | None
    tenant: str
    database: str | None
    json: bool


def diff(left: str, right: str, asked: Asked) -> int:
    """Write in what the two differ; returns the exit code."""
    check_tenant(asked.tenant)
    unknown = [kind for kind in asked.accepted if kind not in get_args(DivergenceKind)]
    if unknown:
        reason = f"there is no class {unknown[0][:40]!a}"
        raise CallError(Problem("", reason, f"it is one of {', '.join(get_args(DivergenceKind))}"))
    folders = [os.path.isdir(each) for each in (left, right)]
    if folders[0] is not folders[1]:
        raise CallError(Problem("", "a folder can be compared with a folder only", "name two folders, or two goldens"))
    with stdout_for_json_only(asked.json):
        sides = _Sides(read_skills(asked.modules), asked)
        return _folders(Path(left), Path(right), sides) if all(folders) else _pair(left, right, sides)


@dataclass
class _Sides:
    """Reads either side."""

    skills: SkillRegistry
    asked: Asked

    def __post_init__(self) -> None:
        path = golden_key_file(self.asked.keys)
        self.keys = None if path is None else GoldenKeys.load(path)
        self.volatile: Collection[str] = VOLATILE_FIELDS if self.asked.volatile is None else self.asked.volatile

    def deterministic(self, skill_id: str) -> bool | None:
        """Whether a skill that is known here declares itself so."""
        known = self.skills.find(skill_id)
        return None if known is None else known.deterministic

    def golden(self, path: Path) -> RunFacts:
        """What a golden says, its signature proved where the keys are here."""
        try:
            data = path.read_bytes()
            beside = path.with_name(path.name.removesuffix(GOLDEN) + SIGNATURE)
            signature = beside.read_bytes() if beside.exists() else None
        except OSError as error:
            reason = f"{path} cannot be read: {error.strerror}"
            raise CallError(Problem("", reason, "name a golden, or a run by its id")) from None
        return golden_facts(data, self.deterministic, self._fault(data, signature))

    def _fault(self, data: bytes, signature: bytes | None) -> str | None:
        if self.keys is None:
            return None
        try:
            first = lines_of(data)[0]
            now = time.time_ns() // 1000
            check_signature(str(first.get("tenant")), str(first.get("run_id")), data, signature, self.keys, now)
        except GoldenFault as fault:
            return str(fault)
        return None

    def run(self, store: Store, run_id: str) -> RunFacts:
        """What the log says of a run that was verified first."""
        return verified_facts(store, run_id, self.asked.tenant, self.deterministic)

    @contextmanager
    def both(self, left: str, right: str) -> Generator[tuple[RunFacts, RunFacts]]:
        """Both sides; the database is opened where one is a run."""
        named = [each for each in (left, right) if not _is_golden(each)]
        if not named:
            yield self.golden(Path(left)), self.golden(Path(right))
            return
        with existing_store(self.asked.database) as store:
            one, other = (
                self.golden(Path(each)) if _is_golden(each) else self.run(store, each) for each in (left, right)
            )
            yield one, other

    def fails(self, found: Divergence) -> bool:
        """Whether the command fails by this difference."""
        return found.kind in CRITICAL and found.kind not in self.asked.accepted


def _is_golden(named: str) -> bool:
    return "/" in named or named.endswith(GOLDEN)


def _pair(left: str, right: str, sides: _Sides) -> int:
    with sides.both(left, right) as (one, other):
        found = divergences(one, other, sides.volatile)
    if sides.keys is None and (_is_golden(left) or _is_golden(right)):
        note("note: no keys are named, so signatures of goldens are not verified")
    _tell(found, sides.asked.json)
    kinds = Counter(each.kind for each in found)
    failing = sum(map(sides.fails, found))
    if sides.asked.json:
        write_json({"left": left, "right": right, "equal": not found, "kinds": kinds, "failing": failing})
    elif not found:
        console().print(Text("equal", "bold green"))
    else:
        console().print(f"{len(found)} differences: {_counted(kinds)}", soft_wrap=True)
    return DIVERGED if failing else OK


def _folders(left: Path, right: Path, sides: _Sides) -> int:
    names = [_names(folder) for folder in (left, right)]
    both = sorted(names[0] & names[1])
    if not both:
        raise CallError(Problem("", f"no golden is in {left} and in {right}", "name folders that hold the same runs"))
    files: Counter[str] = Counter()
    failing = 0
    with watched("comparing") as told:
        for number, name in enumerate(both, 1):
            told(number, len(both))
            found = divergences(sides.golden(left / name), sides.golden(right / name), sides.volatile)
            files.update({each.kind for each in found} or {"equal"})
            failing += any(map(sides.fails, found))
            _tell(found, sides.asked.json, name)
    if sides.keys is None:
        note("note: no keys are named, so signatures of goldens are not verified")
    only = [sorted(names[0] - names[1]), sorted(names[1] - names[0])]
    _summarise(files, only, (str(left), str(right)), len(both), failing, sides.asked.json)
    return DIVERGED if failing or (any(only) and not sides.asked.partial) else OK


def _names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob(f"*{GOLDEN}") if path.is_file()}


def _summarise(
    files: Counter[str], only: Sequence[Sequence[str]], sides: tuple[str, str], compared: int, failing: int, json: bool
) -> None:
    equal = files.pop("equal", 0)
    if json:
        counts = {"compared": compared, "equal": equal, "kinds": files, "failing": failing}
        write_json({**counts, "only_left": only[0], "only_right": only[1]})
        return
    screen = console()
    for folder, names in zip(sides, only, strict=True):
        for name in names:
            screen.print(f"only in {plain(folder)}: {plain(name)}", soft_wrap=True)
    head = Text(f"{equal} of {compared} equal", "bold red" if failing else "bold green")
    screen.print(head.append(f"; files with {_counted(files)}" if files else "", "not bold default"), soft_wrap=True)


def _counted(kinds: Counter[str]) -> str:
    return ", ".join(f"{kind} {number}" for kind, number in sorted(kinds.items()))


def _tell(found: Sequence[Divergence], json: bool, name: str | None = None) -> None:
    about = {} if name is None else {"file": name}
    for each in found:
        if json:
            write_json({**about, **each.to_json()})
            continue
        line = Text("" if name is None else f"{plain(name)}: ")
        line.append(each.kind, _STYLES.get(each.kind, "red"))
        where = " ".join(filter(None, (each.event, each.step_id, each.pointer)))
        line.append(f"  {plain(where)}: {plain(each.left)} | {plain(each.right)}  ({plain(each.reason)})")
        console().print(line, soft_wrap=True)
