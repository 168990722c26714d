"""`refold shadow run`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from ...compose import database_url
from ...core.errors import CallError, Problem
from ...core.ids import check_run_id
from ...core.runtime.registry import SkillRegistry
from ...core.spec import WorkflowSpec
from ...replay.shadow_book import ShadowBook
from ...replay.shadow_summary import COUNTED, Record, hours_of, summary_of
from ...replay.shadow_workload import KINDS, MODULE, Kind
from ..shadow_faults import check_faults
from ..shadow_run import ShadowRun, Simulation, chosen_kinds
from .faults import DIVERGED, OK, Hidden
from .output import console, write_json
from .reading import read_skills, read_spec
from .signals import run_until_drained
from .streams import note

QUICK_CYCLES = 3
"""How many cycles `--quick` has."""


class Words(NamedTuple):
    """What the command was given."""

    hours: float
    workers: int
    interval: float
    quick: bool
    folder: str
    kinds: str | None
    specs: Sequence[str]
    skills: Sequence[str]
    faults: str | None
    webhook: str | None
    patience: float


def run_shadow(words: Words, database: str | None, json: bool) -> int:
    """Do what `words` say, and tell what it came to; returns the exit code, DIVERGED where there is any mismatch."""
    folder = Path(words.folder).absolute()
    if words.folder == "refold-shadow" and folder.is_relative_to(tempfile.gettempdir()):
        note(f"note: {folder} is under a temporary folder, which is cleaned now and then")
    skills = read_skills([MODULE, *words.skills])
    kinds = chosen_kinds(KINDS, _names(words.kinds)) + [_own(read_spec(each), skills) for each in words.specs]
    faults = _names(words.faults)
    check_faults(faults)
    url = database_url(database) if database is not None else f"sqlite:///{folder / 'shadow.db'}"
    if url.startswith("memory"):
        raise CallError(Problem("", "workers cannot share a database in memory", "leave --database out"))
    wanted = Simulation(
        url=url,
        workers=words.workers,
        interval=0.0 if words.quick else words.interval,
        kinds=kinds,
        hours=None if words.quick else words.hours,
        cycles=QUICK_CYCLES if words.quick else None,
        modules=words.skills,
        faults=faults,
        webhook=words.webhook,
        options=_typed(words, url if database is not None else None),
        patience=words.patience,
    )
    with closing(ShadowBook(folder)) as book:
        if book.dropped:
            told = f"half a record ({book.dropped} bytes) was left at the end of the records, and is dropped"
            note(f"note: {told}")
            book.say(told)
        run = ShadowRun(wanted, skills, book, _tell)
        run_until_drained(run.run, run.stop, lambda: note(f"shadow run {os.getpid()} works in {folder}"))
        summary = summary_of(book.records, run.state)
    if json:
        write_json(summary)
    else:
        what = ", ".join(f"{summary[name]} {name.replace('_', ' ')}" for name in ("cycles", *COUNTED))
        console().print(f"{what}, {summary['mismatches']} mismatches; all in {folder}", soft_wrap=True)
    return DIVERGED if summary["mismatches"] else OK


def _typed(words: Words, url: str | None) -> list[str]:
    """The options with which a call goes on with this simulation; who is told by a webhook may be a secret."""
    given: list[tuple[str, object]] = [("--workers", words.workers), ("--patience", f"{words.patience:g}")]
    if not words.quick:
        given += [("--hours", f"{words.hours:g}"), ("--interval", f"{words.interval:g}")]
    given += [("--kinds", words.kinds), ("--faults", words.faults)]
    given += [("--spec", each) for each in words.specs] + [("--skills", each) for each in words.skills]
    given += [("--database", None if url is None else Hidden([url])(url))]
    return ["--quick"] * words.quick + [word for name, value in given if value for word in (name, str(value))]


def _names(text: str | None) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in (text or "").split(",") if name.strip()))


def _own(spec: WorkflowSpec, skills: SkillRegistry) -> Kind:
    """A user's workflow as a kind; it can be compared with itself elsewhere if all its skills are deterministic."""
    found = [skills.find(step.skill_id) for step in spec.steps]
    same = all(skill is not None and skill.deterministic for skill in found)
    name = check_run_id(f"own-{spec.workflow_type}")
    return Kind(name, spec.model_dump(exclude_unset=True), status=None, comparable=same)


def _tell(records: Sequence[Record]) -> None:
    """Write the table of the hours on stderr: as lines where there is no terminal."""
    screen = console(stderr=True)
    names = ("cycles", *(name.replace("_", " ") for name in COUNTED), "mismatches", "faults")
    if not screen.is_terminal:
        for hour in hours_of(records):
            values = (hour.cycles, *hour.counted.values(), hour.mismatches, hour.faults)
            note(f"{hour.hour} UTC: " + ", ".join(f"{name} {value}" for name, value in zip(names, values, strict=True)))
        return
    table = Table("hour (UTC)", box=SIMPLE_HEAD, pad_edge=False)
    for name in names:
        table.add_column(name, justify="right")
    for hour in hours_of(records):
        bad = Text(str(hour.mismatches), "bold red" if hour.mismatches else "green")
        table.add_row(hour.hour, str(hour.cycles), *map(str, hour.counted.values()), bad, str(hour.faults))
    screen.print(table)
