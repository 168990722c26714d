"""The ten steps of docs/ops/tabletop.md, done by a program: each with the command that a person types for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import httpx2

from ..compose import open_store
from ..core.checks import Check, State
from ..core.errors import CallError, Problem, RefoldError, StoreRefusedError
from ..projections.checkpoints import CHECKPOINTS
from .scratch import RUN, Said, Scratch, wait_for

KINDS = "chain,abort,gather,retries"
"""What the short shadow simulation of a drill runs."""

SHADOW = "shadow"
"""The simulation's folder."""

_LIMITS: tuple[tuple[str, float, str], ...] = (
    ("refold_workers{state=\"lost\"}", 0, "WorkerDown"),
    ("refold_projection_stopped", 0, "ProjectionStalled"),
    ("refold_projection_lag_seconds", 300, "ProjectionStalled"),
    ("refold_webhook_deliveries{state=\"failing\"}", 0, "WebhookFailures"),
    ("refold_webhook_deliveries{state=\"dead\"}", 0, "WebhookFailures"),
    ("refold_clock_skew_seconds", 2, "ClockSkew"),
    ("refold_workflow_queue_depth", 100, "QueueBacklog"),
    ("refold_workflow_oldest_running_age_seconds", 21_600, "StaleRunning"),
    ("refold_goldens_mismatched", 0, "GoldenMismatch"),
    ("refold_workflow_replay_failures_total", 0, "ReplayFailures"),
    ("refold_workflow_seed_drift_total", 0, "SeedDrift"),
    ("refold_workflow_checkpoint_failures_total", 0, "SaveFailures"),
    ("refold_workflow_forbidden_skill_attempts_total", 0, "ForbiddenSkillAttempts"),
)  # fmt: skip
"""Metrics that alerts stand on, and what each may be at most here, where nothing was counted before."""


class Step(NamedTuple):
    """A step: its name, what a person types, and how it is done."""

    name: str
    command: str
    do: Callable[[Scratch], Check]


def steps(prometheus: str | None = None) -> list[Step]:
    """The steps in their order; alerts are asked of the Prometheus at that URL, if one is given."""
    place = f"curl -fsS {prometheus}/api/v1/alerts" if prometheus else "refold doctor"
    return [
        Step("health", "curl -fsS $URL/health", health),
        Step("shadow", f"refold shadow run --quick --kinds {KINDS}", partial(shadow, kinds=KINDS)),
        Step("sanity", "refold shadow sanity", sanity),
        Step("stop", 'refold emergency-stop enable --reason "tabletop"', stop),
        Step("stopped", "refold emergency-stop status", stopped),
        Step("go-on", 'refold emergency-stop disable --reason "tabletop"', go_on),
        Step("golden-diff", f"refold golden diff {RUN} --json", golden_diff),
        Step("alerts", place, silence if prometheus is None else partial(firing, prometheus)),
        Step("checkpoints", "refold projections rebuild checkpoints --compare", checkpoints),
        Step("budgets", "refold budgets list; refold budgets verify", budgets),
    ]


def hold(drill: Scratch, wanted: list[Step]) -> Iterator[Check]:
    """Do the steps one after the other, whatever comes of each."""
    for step in wanted:
        try:
            yield step.do(drill)
        except (RefoldError, OSError) as error:
            yield Check(step.name, "failed", detail=str(error), fix=step.command)


def health(drill: Scratch) -> Check:
    """The server's process lives, and says so."""
    answer = drill.get(f"{drill.url}/health")
    status: Any = answer.json().get("status") if answer.status_code == 200 else answer.status_code
    return _check("health", status == "healthy", f'status "{status}"', "refold serve")


def shadow(drill: Scratch, kinds: str = "", faults: str = "") -> Check:
    """A quick simulation, of all kinds if none is named, finds no mismatch."""
    options = [*(("--kinds", kinds) if kinds else ()), *(("--faults", faults) if faults else ())]
    said = drill.refold("shadow", "run", "--quick", "--folder", SHADOW, *options, "--json")
    runs, found = said.last.get("workflows", 0), said.last.get("mismatches")
    well = said.code == 0 and found == 0 and runs > 0
    detail = f"{found} mismatches in {runs} runs" if found is not None else said.told()
    return _check("shadow", well, detail, f"refold shadow debug mismatches --folder {SHADOW}", found, 0, "mismatches")


def sanity(drill: Scratch) -> Check:
    """All five checks on it pass."""
    said = drill.refold("shadow", "sanity", "--folder", SHADOW, "--json")
    bad = [each["name"] for each in said.lines if each.get("state") in ("failed", "warning")]
    passed = said.last.get("checks", 0) - len(bad)
    well = said.code == 0 and said.last.get("checks") == 5
    check = _check("sanity", well, ", ".join(bad) or "all pass", "refold shadow sanity", passed, 5, "checks")
    return replace(check, state="warning") if well and bad else check


def stop(drill: Scratch) -> Check:
    """Everything is stopped."""
    said = drill.refold("emergency-stop", "enable", "--reason", "tabletop", "--json")
    return _stopped("stop", said, "STOPPED")


def stopped(drill: Scratch) -> Check:
    """The status says so."""
    return _stopped("stopped", drill.refold("emergency-stop", "status", "--json"), "STOPPED")


def go_on(drill: Scratch) -> Check:
    """It goes on again, and the status says so."""
    said = drill.refold("emergency-stop", "disable", "--reason", "tabletop", "--json")
    return _stopped("go-on", said if said.code else drill.refold("emergency-stop", "status", "--json"), "RUNNING")


def golden_diff(drill: Scratch) -> Check:
    """The golden that the projector wrote is what the log says; a summary in JSON tells it."""
    signature = drill.folder / "goldens/default" / f"{RUN}.steps.jsonl.sig"
    wait_for(signature.exists)
    said = drill.refold("golden", "diff", RUN, "--json")
    differences = said.last.get("differences")
    well = said.code == 0 and said.last.get("equal") is True
    detail = "the summary says equal" if well else said.told()
    return _check("golden-diff", well, detail, f"refold golden verify {RUN}", differences, 0, "differences")


def silence(drill: Scratch) -> Check:
    """Nothing that alerts stand on is wrong: by what the processes tell at /metrics, and by the doctor."""
    texts: list[str] = []

    def told() -> bool:
        texts[:] = [drill.get(url).text for url in (f"{drill.url}/metrics", drill.projector)]
        return any("refold_workers{" in text for text in texts)

    if not wait_for(told, 30.0):
        raise StoreRefusedError("no process tells the gauges of the store")
    values = [
        (match[1], float(match[2])) for text in texts for match in re.finditer(r"^(refold_\S+) (\S+)$", text, re.M)
    ]
    bad = {alert for name, most, alert in _LIMITS for at, value in values if at.startswith(name) and value > most}
    bad |= {"StoreUnreachable" for at, value in values if at == "refold_store_up" and value < 1}
    said = drill.refold("doctor", "--port", "0", "--json")
    bad |= {f"doctor: {each['name']}" for each in said.lines if each.get("state") == "failed" and "name" in each}
    detail = ", ".join(sorted(bad)) or f"nothing is wrong by {len(values)} series of /metrics, nor by the doctor"
    return _check("alerts", not bad and said.code == 0, detail, "refold doctor", len(bad), 0, "alerts")


def firing(prometheus: str, _drill: Scratch) -> Check:
    """No alert fires by a Prometheus: none of those that lead to our runbook."""
    try:
        answer: Any = httpx2.get(f"{prometheus.rstrip('/')}/api/v1/alerts", timeout=10.0).raise_for_status().json()
        found: list[Any] = [each for each in answer["data"]["alerts"] if each["state"] == "firing"]
        names = sorted({str(each["labels"]["alertname"]) for each in found if _ours(each)})
    except httpx2.InvalidURL as error:
        raise CallError(Problem("", f"{prometheus[:60]!a} is no URL: {error}", "give http://HOST:9090")) from None
    except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
        raise StoreRefusedError(f"Prometheus does not tell its alerts: {type(error).__name__}") from None
    fix = f"docs/ops/runbook.md#{names[0].lower()}" if names else ""
    detail = ", ".join(names) or "none fires, says Prometheus"
    return _check("alerts", not names, detail, fix, len(names), 0, "alerts")


def checkpoints(drill: Scratch) -> Check:
    """The table of checkpoints has a row for each run."""
    store = open_store(drill.environment["REFOLD_DATABASE_URL"])
    try:

        def rows() -> int:
            of = next((each for each in store.tables.generations(CHECKPOINTS.name) if each.active), None)
            return 0 if of is None else len(store.tables.rows(of, CHECKPOINTS.name, {}, 1000))

        counted = wait_for(rows)
    finally:
        store.close()
    fix = "refold projections rebuild checkpoints --compare"
    return _check("checkpoints", counted == 1, "a row for each run", fix, counted, 1, "rows")


def budgets(drill: Scratch) -> Check:
    """The accounts answer, and are what the log says."""
    listed, said = drill.refold("budgets", "list", "--json"), drill.refold("budgets", "verify", "--json")
    well = listed.code == said.code == 0 and said.last.get("ok") is True and len(listed.lines) == 1
    bad = next((each for each in (listed, said) if each.code), said)
    detail = "as the log says" if well else bad.told()
    return _check("budgets", well, detail, "refold budgets verify", len(listed.lines), 1, "accounts")


def _stopped(name: str, said: Said, wanted: str) -> Check:
    status = said.last.get("status")
    detail = f"status {status}" if said.code == 0 else said.told()
    return _check(name, said.code == 0 and status == wanted, detail, "refold emergency-stop status")


def _ours(alert: Any) -> bool:
    url, name = str(alert.get("annotations", {}).get("runbook_url", "")), str(alert["labels"]["alertname"])
    return url.endswith(f"#{name.lower()}")


def _check(
    name: str, well: bool, detail: str, fix: str, value: float | None = None, limit: float | None = None, unit: str = ""
) -> Check:
    state: State = "ok" if well else "failed"
    return Check(name, state, value, limit, unit, detail, "" if well else fix)
