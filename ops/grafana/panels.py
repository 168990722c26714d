"""The panels of the dashboard. `python -m refold.ops.grafana.panels` writes `refold.json` and `refold.api.json`.

Of a gauge of the whole store one process tells, now this one, now that: `max` over all is what it says. Counters are
added. What may never have happened, and so has no series, is `or vector(0)`.
"""

from __future__ import annotations

import json
from pathlib import Path

from .drawing import Panel, Row, dashboard, for_the_api


def _per(counter: str, seconds: int, by: str = "", where: str = "", *, zero: bool = False) -> str:
    grouped = f" by ({by})" if by else ""
    chosen = f"{{{where}}}" if where else ""
    times = "" if seconds == 1 else f"{seconds} * "
    added = f"{times}sum{grouped} (rate({counter}{chosen}[$__rate_interval]))"
    return f"{added} or vector(0)" if zero else added


def _quantile(histogram: str, quantile: float, by: str = "") -> str:
    grouped = f"le, {by}" if by else "le"
    return f"histogram_quantile({quantile}, sum by ({grouped}) (rate({histogram}_bucket[$__rate_interval])))"


_OF_TENANT = 'tenant=~"$tenant"'
_RUNS = "refold_workflow_runs_total"

OVERVIEW = Row(
    "Overview",
    [
        Panel(
            "Alerts",
            "How many fire now.",
            [('count(ALERTS{alertstate="firing", group!=""}) or vector(0)', "alerts")],
            bad=1,
            kind="stat",
            width=3,
        ),
        Panel(
            "Emergency stops",
            "Stops in force. What they are about: refold emergency-stop status.",
            [("max(refold_emergency_stops)", "stops")],
            bad=1,
            kind="stat",
            width=3,
        ),
        Panel(
            "Store",
            "1: every process reaches it.",
            [("min(refold_store_up)", "reached")],
            bad_below=1,
            alert="StoreUnreachable",
            kind="stat",
            width=3,
        ),
        Panel(
            "Workers",
            "Those alive; lost are those silent for 10 s without having said goodbye.",
            [('max(refold_workers{state="alive"})', "alive"), ('max(refold_workers{state="lost"})', "lost")],
            alert="WorkerDown",
            kind="stat",
            width=4,
        ),
        Panel(
            "Runs ended in a minute",
            "Of the chosen tenants, however they ended.",
            [(_per(_RUNS, 60, where=_OF_TENANT), "runs")],
            kind="stat",
            width=4,
        ),
        Panel(
            "Waiting for people",
            "Approvals that nobody has decided yet.",
            [("max(refold_approvals_waiting)", "approvals")],
            kind="stat",
            width=3,
        ),
        Panel(
            "Builds",
            "How many processes run which version.",
            [("count by (version) (refold_build_info)", "{{version}}")],
            kind="stat",
            width=4,
        ),
    ],
)

DETERMINISM = Row(
    "Determinism",
    [
        Panel(
            "Goldens that do not verify",
            "Now, as the patrol of the projector finds them.",
            [("max(refold_goldens_mismatched) or vector(0)", "goldens")],
            bad=1,
            alert="GoldenMismatch",
            kind="stat",
            width=6,
        ),
        Panel(
            "Mismatches of the shadow simulation",
            "All that its folder holds; 0 also where there is none.",
            [("max(refold_shadow_mismatches) or vector(0)", "mismatches")],
            bad=1,
            alert="ReplayFailures",
            kind="stat",
            width=6,
        ),
        Panel(
            "Silence of the shadow simulation",
            "Since its last record; 0 also where there is none.",
            [("max(refold_shadow_log_age_seconds) or vector(0)", "silent")],
            unit="s",
            bad=600,
            alert="LogStale",
            kind="stat",
            width=6,
        ),
        Panel(
            "Shadow simulation",
            "1: it runs; 0 also where there is none.",
            [("max(refold_shadow_up) or vector(0)", "runs")],
            alert="ShadowDead",
            kind="stat",
            width=6,
        ),
        Panel(
            "What does not replay",
            "Found in an hour: replays that failed, goldens that differ, steps with another seed.",
            [
                (_per("refold_workflow_replay_failures_total", 3600, zero=True), "replays"),
                (_per("refold_workflow_golden_mismatches_total", 3600, zero=True), "goldens"),
                (_per("refold_workflow_seed_drift_total", 3600, zero=True), "seeds"),
            ],
            bad=1,
            alert="ReplayFailures",
            width=24,
        ),
    ],
)

EXECUTION = Row(
    "Execution",
    [
        Panel(
            "Runs that end",
            "In a minute, of the chosen tenants.",
            [(_per(_RUNS, 60, "status", _OF_TENANT), "{{status}}")],
            alert="FailureRateHigh",
        ),
        Panel(
            "Attempts that end",
            "In a minute.",
            [(_per("refold_workflow_steps_total", 60, "outcome"), "{{outcome}}")],
            alert="TimeoutRate",
        ),
        Panel(
            "Failed share of runs",
            "Of all that ended.",
            [
                (
                    f'(sum(rate({_RUNS}{{status=~"failed|timed_out", {_OF_TENANT}}}[$__rate_interval])) or vector(0))'
                    f" / (sum(rate({_RUNS}{{{_OF_TENANT}}}[$__rate_interval])) > 0) or vector(0)",
                    "failed",
                )
            ],
            unit="percentunit",
            bad=0.1,
            alert="FailureRateHigh",
        ),
        Panel(
            "Runs waiting",
            "For a worker that takes them, by queue.",
            [("max by (queue) (refold_workflow_queue_depth)", "{{queue}}")],
            bad=100,
            alert="QueueBacklog",
        ),
        Panel(
            "Oldest running run",
            "Since it began.",
            [("max(refold_workflow_oldest_running_age_seconds) or vector(0)", "age")],
            unit="s",
            bad=21600,
            alert="StaleRunning",
        ),
        Panel(
            "Refused for a spent budget",
            "Attempts in a minute, by tenant.",
            [(_per("refold_workflow_budget_exceeded_total", 60, "tenant", _OF_TENANT, zero=True), "{{tenant}}")],
            alert="BudgetExceeded",
        ),
    ],
)

PERFORMANCE = Row(
    "Performance",
    [
        Panel(
            "Run duration",
            "From the start to the end: half of the runs, and 19 of 20, take at most so long.",
            [
                (_quantile("refold_workflow_duration_seconds", 0.5), "half"),
                (_quantile("refold_workflow_duration_seconds", 0.95), "19 of 20"),
            ],
            unit="s",
            bad=300,
            alert="LatencyHigh",
        ),
        Panel(
            "Step duration",
            "19 of 20 steps of a skill take at most so long.",
            [(_quantile("refold_workflow_step_duration_seconds", 0.95, "skill_id"), "{{skill_id}}")],
            unit="s",
            bad=30,
            alert="StepLatencyHigh",
        ),
        Panel(
            "Checkpoint saves",
            "19 of 20 saves take at most so long.",
            [(_quantile("refold_workflow_checkpoint_save_seconds", 0.95), "19 of 20")],
            unit="s",
            bad=1,
            alert="SaveLatencyHigh",
        ),
        Panel(
            "Checkpoints that could not be saved",
            "In an hour.",
            [(_per("refold_workflow_checkpoint_failures_total", 3600, zero=True), "failed")],
            bad=1,
            alert="SaveFailures",
        ),
        Panel(
            "Appends to the store",
            "Until they are durable: 19 of 20, by process.",
            [(_quantile("refold_store_append_seconds", 0.95, "instance"), "{{instance}}")],
            unit="s",
        ),
        Panel(
            "HTTP answers",
            "Until an answer begins: 19 of 20, by route.",
            [(_quantile("refold_http_request_seconds", 0.95, "route"), "{{route}}")],
            unit="s",
        ),
    ],
)

COST = Row(
    "Cost",
    [
        Panel(
            "Cost in an hour",
            "In cents, by tenant.",
            [(_per("refold_workflow_cost_cents_total", 3600, "tenant", _OF_TENANT), "{{tenant}}")],
            unit="suffix: ct",
            alert="CostSpike",
            width=12,
        ),
        Panel(
            "Cost of a step",
            "In cents: the mean of the latest attempts, by skill.",
            [("max by (skill_id) (refold_workflow_step_cost_cents)", "{{skill_id}}")],
            unit="suffix: ct",
            alert="StepCostAnomaly",
            width=12,
        ),
    ],
)

SANDBOX = Row(
    "Sandbox",
    [
        Panel(
            "Plans judged",
            "In a minute, by verdict.",
            [(_per("refold_workflow_plans_total", 60, "verdict", zero=True), "{{verdict}}")],
            alert="RejectionRate",
        ),
        Panel(
            "Plans refused by the sandbox",
            "In a minute.",
            [(_per("refold_workflow_sandbox_rejections_total", 60, zero=True), "refused")],
            alert="RejectionRate",
        ),
        Panel(
            "Forbidden skills",
            "Wanted in an hour, by skill.",
            [(_per("refold_workflow_forbidden_skill_attempts_total", 3600, "skill_id", zero=True), "{{skill_id}}")],
            bad=1,
            alert="ForbiddenSkillAttempts",
        ),
    ],
)

SERVICE = Row(
    "Service",
    [
        Panel(
            "Processes that answer Prometheus",
            "1 or 0, by process.",
            [('min by (job, instance) (up{job=~"refold-.*"})', "{{job}} {{instance}}")],
            bad_below=1,
            alert="WorkerDown",
        ),
        Panel(
            "Projections behind",
            "Since when the next event has been waiting.",
            [("max by (projection) (refold_projection_lag_seconds)", "{{projection}}")],
            unit="s",
            bad=300,
            alert="ProjectionStalled",
        ),
        Panel(
            "Projections behind, in events",
            "How many are still to be taken in; below: how many projections stand still.",
            [
                ("max by (projection) (refold_projection_lag_events)", "{{projection}}"),
                ("sum(max by (projection) (refold_projection_stopped))", "standing still"),
            ],
            alert="ProjectionStalled",
        ),
        Panel(
            "Free disk",
            "Of the disks of the store's file, goldens and shadow simulations.",
            [("min by (instance, folder) (refold_disk_free_ratio)", "{{folder}} {{instance}}")],
            unit="percentunit",
            bad_below=0.05,
            alert="DiskFull",
        ),
        Panel(
            "Webhooks",
            "Messages that wait, fail, or were given up.",
            [("max by (state) (refold_webhook_deliveries)", "{{state}}")],
            alert="WebhookFailures",
        ),
        Panel(
            "Clocks",
            "Of each process against the database.",
            [("abs(max by (instance) (refold_clock_skew_seconds))", "{{instance}}")],
            unit="s",
            bad=2,
            alert="ClockSkew",
        ),
        Panel(
            "HTTP answers in a second",
            "By class of status.",
            [(_per("refold_http_requests_total", 1, "status"), "{{status}}")],
            unit="reqps",
        ),
        Panel(
            "HTTP requests refused",
            "In a second, because there were too many.",
            [(_per("refold_http_refused_total", 1, "reason"), "{{reason}}")],
            unit="reqps",
        ),
        Panel(
            "HTTP requests under way",
            "And those that wait for a place, in all servers.",
            [
                ("sum(refold_http_requests_under_way)", "under way"),
                ("sum(refold_http_places_waited_for)", "waiting"),
            ],
        ),
    ],
)

ROWS = (OVERVIEW, DETERMINISM, EXECUTION, PERFORMANCE, COST, SANDBOX, SERVICE)
"""From top to bottom."""


def documents() -> dict[str, str]:
    """The files, by their names in this folder."""
    drawn = dashboard(ROWS)
    made = {"refold.json": drawn, "refold.api.json": for_the_api(drawn)}
    return {name: json.dumps(document, indent=2) + "\n" for name, document in made.items()}


if __name__ == "__main__":
    for each, text in documents().items():
        Path(__file__).with_name(each).write_text(text)
