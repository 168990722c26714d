"""What the API answers about plans, as its OpenAPI document describes it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from . import ProblemEntry


class Finding(BaseModel):
    """What a policy, a ceiling, a budget or a limit has against a step; `pointer` is empty where it is several."""

    outlook: Literal["refused", "possible", "delayed"]
    code: str
    reason: str
    step_id: str
    pointer: str
    rule: str


class Account(BaseModel):
    """What a plan draws on: cents of a budget, attempts of a rate, places. `seconds` is how long a rate takes."""

    account: str
    kind: Literal["budget", "rate", "concurrency"]
    rule: str
    capacity: float
    left: float
    needed: float
    worst: float
    waits: bool
    known: bool
    seconds: float


class Excerpt(BaseModel):
    """What the sandbox found."""

    rule: str
    severity: Literal["violation", "warning"]
    pointer: str
    why: str
    excerpt: str
    path: list[str]


class Sandbox(BaseModel):
    """What the sandbox says of a plan; `enforced` whether it must pass."""

    enforced: bool
    valid: bool
    violations: list[Excerpt]
    warnings: list[Excerpt]
    rules_version: str


class Evaluation(BaseModel):
    """Whether a plan would be allowed, and why not."""

    status: Literal["allowed", "refused", "invalid"]
    allowed: bool
    problems: list[ProblemEntry]
    findings: list[Finding]
    accounts: list[Account]
    sandbox: Sandbox
    policies: list[str]
    unknown_skills: list[str]
    missing_inputs: list[str]


class Cost(BaseModel):
    """In cents."""

    expected_cents: float
    worst_cents: float
    unpriced_steps: int


class Time(BaseModel):
    """In seconds."""

    expected_seconds: float
    slow_seconds: float
    longest_seconds: float | None
    without_limits_seconds: float
    unknown_steps: int


class Step(BaseModel):
    """A step as it would go: cents, and seconds from the start of the run."""

    index: int
    step_id: str
    skill_id: str
    level: int
    attempts: int
    cost_cents: float
    worst_cents: float
    duration_seconds: float | None
    time_source: Literal["step", "skill", "pause", "timeout", "unknown"]
    samples: int
    start_seconds: float
    end_seconds: float
    critical: bool
    held_up_by: str
    outlook: Literal["refused", "possible", "delayed"] | None


class Simulated(BaseModel):
    """What a spec would do, and what is in its way."""

    status: Literal["allowed", "refused", "invalid"]
    workflow_type: str
    version: str
    spec_hash: str
    cost: Cost
    time: Time
    critical_path: list[str]
    levels: int
    widest: int
    recorded_runs: int
    steps: list[Step]
    evaluation: Evaluation
