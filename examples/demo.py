"""Refold in a quarter of a minute: a workflow is killed in the middle, resumed, and proved.

    python examples/demo.py [FOLDER]

Nothing here is staged: a real process gets a real SIGKILL, and every line with a tick was checked. The exit code is 1
if anything is not as claimed. What the demo made is kept in FOLDER (a new temporary folder, if none is named).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from refold import open_store
from refold.replay.verify import Verification, verify_run

ROOT = Path(__file__).resolve().parent.parent
WORKER = Path(__file__).resolve().parent / "slow_worker.py"
SOURCES = ("api", "core", "eventstore", "ops", "projections", "replay")
RUN_ID, SEED = "demo", 7
PACE = 0.4
"""By how many seconds, on average, a step is slowed down, so that there is a middle to be killed in."""
ENOUGH = 14
"""Durable steps after which the worker is killed."""
STAGES = {
    "read": ("read_sources",),
    "hash": ("hash",),
    "measure": ("measure",),
    "rank": ("compare_packages", "largest_files", "longest_functions", "most_imported", "duplicate_names"),
    "draw": ("draw_treemap", "write_page"),
    "save": ("file_write",),
}


@dataclass(frozen=True)
class Event:
    """One event as it is stored. `writer` differs from process to process."""

    number: int
    topic: str
    at: float
    data: dict[str, Any]
    predecessor: str | None
    writer: str

    @property
    def step(self) -> str:
        """The step it is about, if any."""
        return self.data.get("step_id") or ""


@dataclass(frozen=True)
class Killed:
    """The worker that was killed, when, and the steps that were in the log by then."""

    process: int
    at: float
    durable: set[str]


class Screen:
    """What the demo says. `claim` prints what was checked, and remembers whether it held."""

    def __init__(self) -> None:
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal may lack the ticks
        self.console = Console(highlight=False, record=True, width=None if sys.stdout.isatty() else 100)
        self.broken = 0

    def heading(self, text: str) -> None:
        """The title of a part."""
        self.console.print(f"\n[bold]{escape(text)}[/]")

    def say(self, text: str) -> None:
        """Some information."""
        for line in Text.from_markup(text).wrap(self.console, self.console.width - 4):
            self.console.print(Text("  ") + line)

    def quote(self, text: str) -> None:
        """A line to be copied, which must not be broken."""
        self.console.print(f"  {escape(text)}", soft_wrap=True)

    def claim(self, holds: bool, text: str) -> None:
        """A line that says what was checked."""
        self.broken += not holds
        self.console.print(f"  [green]✓[/] {escape(text)}" if holds else f"  [bold red]✗ NOT SO: {escape(text)}[/]")


class Demo:
    """The demo in its folder: the store, the notes on every call of a skill, the report."""

    def __init__(self, folder: Path, screen: Screen):
        self.folder = folder
        self.screen = screen
        self.notes = folder / "calls.txt"
        self.source = folder / "source"
        # A copy, so that whoever edits the checkout meanwhile does not change what is measured.
        for name in SOURCES:
            shutil.copytree(ROOT / name, self.source / name, ignore=shutil.ignore_patterns("__pycache__"))
        for file in ROOT.glob("*.py"):
            shutil.copy(file, self.source)

    def url(self, name: str) -> str:
        """The database URL of the store called `name`."""
        return f"sqlite:///{quote(str(self.folder / name))}.db"

    def shown(self, name: str) -> str:
        """A path in the folder as the reader may type it."""
        path = self.folder / name
        return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)

    def worker(self, store: str, pace: float, *options: str) -> subprocess.Popen[bytes]:
        """A new process that runs the workflow, or goes on with it, on the store called `store`."""
        command = [sys.executable, str(WORKER), "--database", self.url(store), "--run-id", RUN_ID, "--seed", str(SEED)]
        command += ["--pace", str(pace), "--notes", str(self.notes), *options]
        report = self.folder / f"report-{store}"
        report.mkdir(exist_ok=True)
        environment = {**os.environ, "REFOLD_FILES_ROOT": str(report)}
        return subprocess.Popen(command, cwd=self.source, env=environment, stdout=subprocess.PIPE)

    def result(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        """What the process printed at its end; its own error message went to the terminal."""
        output, _ = process.communicate(timeout=120)
        if process.returncode != 0:
            raise SystemExit(f"the worker ended with exit code {process.returncode}")
        return json.loads(output)

    def events(self, store: str) -> list[Event]:
        """The log of the run."""
        opened = open_store(self.url(store))
        try:
            records = opened.read(f"default/{RUN_ID}")
        finally:
            opened.close()
        return [_event(record.version, record.topic, json.loads(record.state)) for record in records]

    def calls(self, process: int) -> set[str]:
        """The steps whose skill the process called."""
        lines = [line.split() for line in self.notes.read_text(encoding="utf-8").splitlines()]
        return {step for pid, step in lines if int(pid) == process}

    def verification(self, store: str) -> Verification:
        """The proof of the run in the store called `store`."""
        opened = open_store(self.url(store))
        try:
            return verify_run(opened, RUN_ID)
        finally:
            opened.close()


def run(demo: Demo, screen: Screen) -> None:
    """All parts, in order."""
    killed = kill_in_the_middle(demo, screen)
    second, result = resume(demo, screen)
    show_timeline(demo, screen, killed, second)
    prove(demo, screen, result)
    compare_with_undisturbed(demo, screen, result)
    alter_a_byte(demo, screen)
    screen.heading("What to try next")
    refold = ".venv/bin/refold" if (ROOT / ".venv/bin/refold").exists() else "refold"
    store, altered = (f"{refold} --database sqlite:///{quote(demo.shown(name))}.db" for name in ("store", "altered"))
    for command in (f"{store} show {RUN_ID}", f"{store} events {RUN_ID}", f"{altered} verify {RUN_ID}"):
        screen.quote(command)
    screen.quote(f"The report that the workflow wrote: {demo.shown('report-store/source-report.html')}")


def kill_in_the_middle(demo: Demo, screen: Screen) -> Killed:
    """Start the workflow and kill its process once enough steps are durable, well before the last."""
    screen.heading("1  A workflow starts, and is killed in the middle")
    screen.say("It measures Refold's own source and writes a report. The log is an SQLite file.")
    open_store(demo.url("store")).close()
    process = demo.worker("store", PACE)
    deadline = time.monotonic() + 60
    while process.poll() is None and len(_completed(demo.events("store"))) < ENOUGH and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    at = time.time()
    process.communicate()
    events = demo.events("store")
    durable = set(_completed(events))
    screen.claim(process.returncode == -signal.SIGKILL, f"process {process.pid} was killed by SIGKILL")
    unfinished = bool(durable) and not any(event.topic.startswith("run.") for event in events[1:])
    screen.claim(
        unfinished, f"{len(durable)} steps are in the log, which has {len(events)} events; the run has not ended"
    )
    for event in [*events[:2], None, *events[-2:]]:
        screen.say(_logged(event, events[0].at) if event else "[dim]  …[/]")
    return Killed(process.pid, at, durable)


def resume(demo: Demo, screen: Screen) -> tuple[int, dict[str, Any]]:
    """Go on in a new process; returns it and the result of the run."""
    screen.heading("2  A new process goes on with it")
    process = demo.worker("store", PACE)
    result = demo.result(process)
    steps = [step for step in result["steps"] if step["status"] == "completed"]
    completed = result["status"] == "completed" and len(steps) == len(result["steps"])
    screen.claim(completed, f"process {process.pid} completed the run: {len(steps)} of {len(result['steps'])} steps")
    return process.pid, result


def show_timeline(demo: Demo, screen: Screen, killed: Killed, second: int) -> None:
    """Which process recorded which step when, and that no recorded step was executed again."""
    screen.heading("3  Which process did what")
    events = demo.events("store")
    completed = [event for event in events if event.topic == "step.completed"]
    width = 66
    scale = (width - 1) / (completed[-1].at - events[0].at)
    for stage, skills in STAGES.items():
        row: dict[int, tuple[str, str]] = {round((killed.at - events[0].at) * scale) + 1: ("│", "red")}
        for event in completed:
            if event.data["skill_id"] in skills:
                before = event.writer == events[0].writer
                column = round((event.at - events[0].at) * scale)
                while column in row:  # make room without crossing the line
                    column += -1 if before else 1
                row[column] = ("●", "cyan") if before else ("○", "yellow")
        line = Text(f"  {stage:9}")
        for column in range(max(row) + 1):
            line.append(*row.get(column, (" ", "")))
        screen.console.print(line)
    screen.say(
        f"[cyan]●[/] recorded by process {killed.process}   [red]│[/] SIGKILL   [yellow]○[/] by process {second}"
    )
    again = demo.calls(second)
    screen.claim(len(completed) == len({event.step for event in completed}), "every step has one outcome in the log")
    screen.claim(not again & killed.durable, f"none of the {len(killed.durable)} recorded steps was executed again")
    cut_off = sorted((demo.calls(killed.process) - killed.durable) & again)
    if cut_off:
        screen.say(f"{len(cut_off)} more had begun, were not recorded, and were executed again: {', '.join(cut_off)}")


def prove(demo: Demo, screen: Screen, result: dict[str, Any]) -> None:
    """Chain, fold, execution."""
    screen.heading("4  The log is verified")
    proof = demo.verification("store")
    screen.claim(not proof.chain, f"chain: each of {proof.events} events carries the hash of the one before it")
    folded = not proof.fold and proof.workflow_hash == result["workflow_hash"]
    screen.claim(folded, "fold: folding the events again gives the recorded hashes")
    again = demo.result(demo.worker("store", 0, "--replay"))
    same = again["workflow_hash"] == result["workflow_hash"] and len(demo.events("store")) == proof.events
    screen.claim(same, "execution: the deterministic skills, run again in a new process, give the same outputs")


def compare_with_undisturbed(demo: Demo, screen: Screen, result: dict[str, Any]) -> None:
    """The same run without a crash, on another store."""
    screen.heading("5  The same run, never disturbed, on another store")
    other = demo.result(demo.worker("undisturbed", 0))
    screen.say(f"killed and resumed  {result['workflow_hash']}")
    screen.say(f"never disturbed     {other['workflow_hash']}")
    screen.claim(other["workflow_hash"] == result["workflow_hash"], "the workflow hashes are equal")
    reports = [demo.folder / f"report-{store}" / "source-report.html" for store in ("store", "undisturbed")]
    screen.claim(reports[0].read_bytes() == reports[1].read_bytes(), "both wrote the same report, byte for byte")


def alter_a_byte(demo: Demo, screen: Screen) -> None:
    """Change one digit in a copy of the store, and see that verification names the event."""
    screen.heading("6  One byte is altered in a copy of the store")
    target = next(event for event in demo.events("store") if event.step == "compare")
    original, copy = sqlite3.connect(demo.folder / "store.db"), sqlite3.connect(demo.folder / "altered.db")
    original.backup(copy)
    original.close()
    where = "originator_id = ? AND originator_version = ?"
    key = (f"default/{RUN_ID}", target.number)
    (state,) = copy.execute(f"SELECT state FROM stored_events WHERE {where}", key).fetchone()
    at = state.index(b'"lines":') + len(b'"lines":')
    digit = b"8" if state[at : at + 1] == b"9" else bytes([state[at] + 1])
    altered = state[:at] + digit + state[at + 1 :]
    copy.execute(f"UPDATE stored_events SET state = ? WHERE {where}", (altered, *key))
    copy.commit()
    copy.close()
    before, after = (text[at - 8 : at + 6].decode() for text in (state, altered))
    screen.say(escape(f"event {target.number} (step {target.step}):  …{before}…  became  …{after}…"))
    proof = demo.verification("altered")
    for finding in proof.chain + proof.fold:
        screen.say(f"[dim]refold verify:[/] {escape(str(finding))}")
    named = bool(proof.chain) and {finding.number for finding in proof.chain} == {target.number}
    screen.claim(named, f"verification fails and names event {target.number}")
    screen.claim(demo.verification("store").ok, "the original still verifies")


def _event(number: int, topic: str, state: dict[str, Any]) -> Event:
    writer = state["nonce"].rpartition("-")[0]
    return Event(number, topic, state["at"] / 1e6, state["data"], state["prev"], writer)


def _completed(events: list[Event]) -> list[str]:
    return [event.step for event in events if event.topic == "step.completed"]


def _logged(event: Event, start: float) -> str:
    predecessor = (event.predecessor or "none")[:12]
    offset = f"{event.at - start:5.2f} s"
    return f"[dim]{event.number:3}  {offset}[/]  {event.topic:15} {event.step:18} [dim]predecessor {predecessor}[/]"


def main() -> int:
    """Run the demo; 0 if everything was as claimed."""
    parser = argparse.ArgumentParser(description="Kill a workflow, resume it, prove the result.")
    parser.add_argument("folder", nargs="?", type=Path, help="where to keep what is made (default: a temporary folder)")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="also write what was shown as SVG")
    options = parser.parse_args()
    folder: Path = options.folder or Path(tempfile.mkdtemp(prefix="refold-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        parser.error(f"{folder} is not empty")
    screen = Screen()
    began = time.monotonic()
    run(Demo(folder.resolve(), screen), screen)
    seconds = time.monotonic() - began
    verdict = f"[red]{screen.broken} claims do not hold.[/]" if screen.broken else "[green]All is as claimed.[/]"
    screen.console.print(f"\n[bold]{verdict}[/] [dim]{seconds:.1f} s[/]")
    if options.picture:
        picture = screen.console.export_svg(title="make demo")
        # Without the fonts that it would load from elsewhere: every system has one of fixed width.
        picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
        options.picture.write_text(picture, encoding="utf-8")
    return 1 if screen.broken else 0


if __name__ == "__main__":
    sys.exit(main())
