"""What a job over many runs tells: those that are not equal while it goes on, and at the end what it came to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from rich.text import Text

from ...core.ids import specs_of
from ...replay.archives import ArchivesVerification
from ...replay.control import ControlVerification
from ...replay.fleet import ChunkProof
from ...replay.jobs import JobEnd
from .divergences import VERDICT_STYLES, lines_of
from .fleet_options import FleetOptions
from .output import console, duration, plain, write_json
from .streams import note

_MOST_TOLD = 50
"""So many runs are told to a person."""


class Report:
    """Writes to stdout, as the options ask for."""

    def __init__(self, given: FleetOptions, doing: str):
        self._given = given
        self._verifying = doing == "verifying"
        self._told = 0
        self._left = 0

    def take(self, proof: ChunkProof) -> None:
        """Tell of the runs of a chunk that are to be told of."""
        for run in proof.told:
            if self._given.json:
                write_json(_as_told(run) if self._verifying else run)
            elif run["verdict"] in ("diverged", "broken"):
                self._tell(run)

    def _tell(self, run: Mapping[str, Any]) -> None:
        if self._told >= _MOST_TOLD:
            self._left += 1
            return
        self._told += 1
        for line in lines_of(run):
            console().print(line, soft_wrap=True)

    def end(self, end: JobEnd, seconds: float) -> None:
        """Tell what the job came to."""
        if self._left:
            note(f"{self._left} more runs are not as recorded; all of them: --json")
        for control in end.control:
            if self._given.json:
                write_json(control.to_json())
            elif not control.ok:
                console().print(
                    Text("broken", "bold red").append(f"  {control.about}  {control.events} events", "not bold default")
                )
                for finding in (*control.chain, *control.fold):
                    console().print(Text(f"  {plain(str(finding))}", "red"), soft_wrap=True)
        if end.archives is not None:
            self._tell_archives(end.archives)
        if self._given.json:
            write_json(self._summary(end, seconds))
        else:
            for line in self._closing(end, seconds):
                console().print(line, soft_wrap=True)

    def _tell_archives(self, archives: ArchivesVerification) -> None:
        if self._given.json:
            write_json(archives.to_json())
        elif not archives.ok:
            told = f"  the archives  {archives.archives} files"
            console().print(Text("broken", "bold red").append(told, "not bold default"))
            for finding in archives.findings:
                console().print(Text("  files  ", "dim").append(plain(str(finding)), "not dim red"), soft_wrap=True)

    def _summary(self, end: JobEnd, seconds: float) -> dict[str, Any]:
        specs, decisions = _counted(end)
        bad = end.broken or end.tally.verdicts["diverged"]
        order = end.order
        return {
            "tenant": order.query.tenant,
            "ok": not bad,
            "specs": specs,
            "golden_decisions": decisions,
            "archives": 0 if end.archives is None else end.archives.archives,
            **end.tally.to_json(),
            **end.tally.verdicts,
            "broken": end.broken,
            "position": order.until,
            "head": order.head,
            "sample_seed": None if order.query.sample is None else order.query.seed,
            "build": None if order.code is None else order.code.get("build"),
            "digest": end.digest,
            "seconds": round(seconds, 3),
        }

    def _closing(self, end: JobEnd, seconds: float) -> Iterator[Text]:
        tally, verdicts = end.tally, end.tally.verdicts
        specs, decisions = _counted(end)
        word, style = self._word(end)
        counts = (
            f"  {tally.runs} runs, {tally.events} events"
            + (f", {specs} registered specs" if specs else "")
            + (f", {decisions} decisions on goldens" if decisions else "")
            + (f", {end.archives.archives} archives" if end.archives is not None and end.archives.archives else "")
            + (f"; not as recorded: {end.broken + verdicts['diverged']}" if word in ("broken", "diverged") else "")
        )
        yield Text(word, style).append(counts, "not bold default")
        if not self._verifying:
            told = ", ".join(f"{name.replace('_', ' ')} {number}" for name, number in verdicts.items() if number)
            yield Text("  runs     ", "dim").append(told or "none", "not dim")
            again = f"{tally.executed} steps executed again, {tally.served} served from the log"
            yield Text("  steps    ", "dim").append(again, "not dim")
        for reason, number in sorted(tally.reasons.items(), key=lambda each: -each[1]):
            yield Text("  because  ", "dim").append(f"{plain(reason)} ({number})", "not dim")
        label = None if end.order.code is None else end.order.code.get("build")
        if label is not None and tally.builds:
            own = sum(number for build, number in tally.builds.items() if build.endswith(f" {label}"))
            said = f"{plain(label)} proves; it wrote events of {own} of {tally.runs} runs"
            yield Text("  build    ", "dim").append(said, "not dim")
        if end.order.query.sample is not None:
            yield Text("  sample   ", "dim").append(f"drawn by --sample-seed {end.order.query.seed}", "not dim")
        if seconds > 1:
            rate = f"{duration(int(seconds * 1e6))}: {tally.events / seconds:,.0f} events/s"
            yield Text("  time     ", "dim").append(rate, "not dim")
        yield Text("  digest   ", "dim").append(end.digest, "not dim")

    def _word(self, end: JobEnd) -> tuple[str, str]:
        verdicts = end.tally.verdicts
        if end.broken:
            return "broken", VERDICT_STYLES["broken"]
        if verdicts["diverged"]:
            return "diverged", VERDICT_STYLES["diverged"]
        if not (end.tally.runs or end.control):
            return "nothing", VERDICT_STYLES["equal"]
        return ("intact" if self._verifying else "equal"), VERDICT_STYLES["equal"]


def _counted(end: JobEnd) -> tuple[int, int]:
    """How many specs are registered, and how much was decided about goldens."""
    of_specs = specs_of(end.order.query.tenant)

    def is_golden(each: ControlVerification) -> bool:
        return "golden" in each.stream

    specs = sum(each.events for each in end.control if each.stream == of_specs)
    return specs, sum(each.events for each in end.control if is_golden(each))


def _as_told(run: Mapping[str, Any]) -> dict[str, Any]:
    """A run's proof as `refold verify` has told it from the beginning: with `ok`, and chain and fold by name."""
    told = dict(run)
    proofs = cast("dict[str, dict[str, Any]]", run["proofs"])
    told["ok"] = run["verdict"] != "broken"
    for name in ("chain", "fold"):
        findings = proofs.get(name, {}).get("findings", [])
        told[name] = {"ok": not findings, "findings": findings}
    return told
