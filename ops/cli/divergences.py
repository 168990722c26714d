"""How the proof of a run is shown to a person: what was recorded, what is now, where, why, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from .output import plain

VERDICT_STYLES = {
    "equal": "bold green",
    "not_comparable": "bold yellow",
    "not_verifiable": "bold yellow",
    "diverged": "bold red",
    "broken": "bold red",
}
"""How each verdict looks."""

_MEANINGS = {
    "chain": "no byte was altered, none is missing",
    "fold": "folding again gives the recorded hashes",
    "decisions": "the recorded outcomes lead to the recorded steps",
    "execution": "deterministic steps, run again, give the same",
}
_WIDTH = 11


def lines_of(run: Mapping[str, Any]) -> Iterator[Text]:
    """The lines on a run, given as `RunProof.to_json` writes it: the head, then each proof with all that it found."""
    word = "intact" if run["verdict"] == "equal" and set(run["proofs"]) <= {"chain", "fold"} else run["verdict"]
    head = Text(word.replace("_", " "), VERDICT_STYLES[run["verdict"]])
    yield head.append(f"  {plain(run['run_id'])}  {run['status'] or ''}  {run['events']} events", "not bold default")
    for name, result in run["proofs"].items():
        yield from _proof(name, result)
    if run["verdict"] == "equal" and run["workflow_hash"] is not None:
        yield _line("hash", run["workflow_hash"])
    first = next((r for r in run["proofs"].values() if r["verdict"] in ("diverged", "broken")), None)
    if first is not None and first.get("divergence") is not None:
        yield from _divergence(first["divergence"], run.get("builds") or [])


def _proof(name: str, result: Mapping[str, Any]) -> Iterator[Text]:
    verdict = result["verdict"]
    shown = Text(f"  {name:<{_WIDTH}}", "dim")
    if verdict == "equal":
        note = f"; {plain(result['reason'])}" if result.get("reason") else ""
        yield shown.append("ok  ", "not dim green").append(_MEANINGS.get(name, "")).append(note, "not dim yellow")
        return
    findings: list[dict[str, Any]] = result.get("findings") or []
    for finding in findings:
        where = f"event {finding['number']} of {finding['stream']}" if finding["number"] else finding["stream"]
        told = f"{where}: {finding['kind']}: {finding['reason']}"
        yield Text(f"  {name:<{_WIDTH}}", "dim").append(plain(told), "not dim red")
    if not findings:
        style = VERDICT_STYLES[verdict].replace("bold", "not dim")
        yield shown.append(f"{verdict.replace('_', ' ')}  ", style).append(plain(result.get("reason") or ""), "not dim")


def _divergence(found: Mapping[str, Any], builds: list[str]) -> Iterator[Text]:
    where = f"event {found['event']}" if found["event"] else "the run"
    step = f", step {found['step_id']}" if found["step_id"] else ""
    yield _line("first", f"{where}{step}: {found['kind']}", "bold")
    if found["kind"] != "TAMPERED":
        at = f"at {found['pointer']}  " if found["pointer"] else ""
        yield _line("recorded", f"{at}{found['recorded']}", "green")
        yield _line("", found["recorded_hash"] or "", "dim")
        yield _line("now", f"{at}{found['now']}", "red")
        yield _line("", found["now_hash"] or "", "dim")
        yield _line("what", found["message"])
    for name, key in (("cause", "cause"), ("place", "place"), ("to do", "advice")):
        if found[key]:
            yield _line(name, found[key])
    if found["kind"] != "TAMPERED" and builds:
        yield _line("written by", ", ".join(builds))


def _line(name: str, text: str, style: str = "not dim") -> Text:
    return Text(f"  {name:<{_WIDTH}}", "dim").append(plain(text), style if style == "dim" else f"not dim {style}")
