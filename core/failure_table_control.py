"""The failures that are decisions: of policies, budgets, the sandbox, people; and those of webhooks and secrets."""

from __future__ import annotations

from .failure_entry import BACKOFF, ONCE, PATIENT, CatalogEntry, Category, Recovery, entry

_T, _P, _R, _A, _V = Category

POLICY_FAILURES: tuple[CatalogEntry, ...] = (
    entry(
        "POLICY_REFUSED", _A, Recovery.ASK_PERSON, 403, ONCE,
        "A policy does not permit the step.",
        "The message names the rule; what there is: refold policies list; change the policy, or the step; then: "
        "refold retry RUN_ID",
    ),
    entry(
        "EMERGENCY_STOP", _A, Recovery.RETRY_LATER, 503, ONCE,
        "An emergency stop is in force.",
        "Who stopped it and why: refold emergency-stop status; after the release workers go on by themselves; what was "
        "refused is called again, or: refold resume RUN_ID",
    ),
    entry(
        "STEP_COST_CEILING", _R, Recovery.FIX_INPUT, 403, ONCE,
        "The step would cost more than the spec or a policy lets a step cost.",
        "Raise step_ceiling_cents in the spec or max_step_cents in the policy, whichever the message names, or let the "
        "step do less at a time",
    ),
    entry(
        "WORKFLOW_COST_CEILING", _R, Recovery.FIX_INPUT, 403, ONCE,
        "With the step, the run would cost more than the spec or a policy lets it.",
        "See what was spent: refold costs --run RUN_ID; raise workflow_ceiling_cents in the spec, or "
        "max_run_cents in the policy",
    ),
    entry(
        "BUDGET_EXCEEDED", _R, Recovery.ASK_PERSON, 403, ONCE,
        "A budget of the agent, tenant or workflow does not suffice for the step.",
        "See what is left: refold budgets list; have more added: refold budgets top-up ACCOUNT CENTS --reason TEXT; "
        "then: refold retry RUN_ID",
    ),
    entry(
        "RATE_LIMITED", _R, Recovery.RETRY_LATER, 429, ONCE,
        "As many such steps have begun as a policy lets begin in a time.",
        "See how full it is: refold budgets list; later: refold retry RUN_ID; with when_exceeded: wait "
        "in the policy steps wait instead of failing",
    ),
    entry(
        "CONCURRENCY_LIMITED", _R, Recovery.RETRY_LATER, 429, ONCE,
        "As many such steps are under way as a policy lets run at a time.",
        "See which they are: refold budgets holds; later: refold retry RUN_ID; with when_exceeded: wait "
        "in the policy steps wait instead of failing",
    ),
    entry(
        "IDEMPOTENCY_KEY_MISSING", _V, Recovery.FIX_INPUT, 422, ONCE,
        "A step with a side effect declares no idempotency key.",
        "Give the step an idempotency_key that is the same whenever it means the same",
    ),
    entry(
        "SANDBOX_REJECTED", _A, Recovery.FIX_INPUT, 403, ONCE,
        "The sandbox does not let the plan run.",
        "See which rule, where and why: refold plan check FILE",
    ),
)  # fmt: skip
"""Of policies and limits."""

APPROVAL_FAILURES: tuple[CatalogEntry, ...] = (
    entry(
        "APPROVAL_REJECTED", _A, Recovery.ASK_PERSON, 403, ONCE,
        "Who was asked for approval said no.",
        "Read the reason: refold approvals show RUN_ID; change what was asked for, and begin anew",
    ),
    entry(
        "APPROVAL_EXPIRED", _R, Recovery.ASK_PERSON, 504, ONCE,
        "Nobody decided about the approval in time.",
        "See who was asked: refold approvals show RUN_ID; find somebody who will, and ask again: refold retry RUN_ID",
    ),
    entry(
        "APPROVER_UNKNOWN", _A, Recovery.ASK_PERSON, 403, ONCE,
        "Whoever decided is none of those who may.",
        "See who may decide: refold approvals show RUN_ID",
    ),
    entry(
        "APPROVAL_DECIDED", _V, Recovery.GIVE_UP, 409, ONCE,
        "The approval has been decided already.",
        "See how, and by whom: refold approvals show RUN_ID",
    ),
    entry(
        "APPROVAL_NOT_FOUND", _V, Recovery.FIX_INPUT, 404, ONCE,
        "The run has no such approval, or none that is open.",
        "See what waits for whom: refold approvals list --open",
    ),
    entry(
        "DELEGATION_REFUSED", _V, Recovery.FIX_INPUT, 409, ONCE,
        "The approval cannot be passed on to this person.",
        "See who may decide already: refold approvals show RUN_ID",
    ),
)  # fmt: skip
"""Of approvals."""

WEBHOOK_FAILURES: tuple[CatalogEntry, ...] = (
    entry(
        "WEBHOOK_ADDRESS_REFUSED", _A, Recovery.FIX_CONFIG, 422, ONCE,
        "The URL leads where nothing may be sent unless it is allowed.",
        "Give a public address, or allow this one where it is added and where it is sent from: refold webhooks deliver "
        "--allow NETWORK",
    ),
    entry(
        "WEBHOOK_UNREACHABLE", _T, Recovery.RETRY_LATER, 502, PATIENT,
        "The receiver of a webhook could not be reached or broke off.",
        "Delivery is tried again by itself for a day; see how often it was: refold webhooks deliveries --failed",
    ),
    entry(
        "WEBHOOK_TIMEOUT", _T, Recovery.RETRY_LATER, 504, PATIENT,
        "The receiver of a webhook did not answer in time.",
        "Have it answer first and work afterwards; delivery is tried again by itself for a day",
    ),
    entry(
        "WEBHOOK_NOT_TAKEN", _T, Recovery.RETRY_LATER, 502, PATIENT,
        "The receiver of a webhook answered with another status than 2xx.",
        "Cure the receiver; what it never took is on the list: refold webhooks dead",
    ),
    entry(
        "WEBHOOK_GONE", _P, Recovery.GIVE_UP, 410, ONCE,
        "The receiver of a webhook answered 410: it wants no more.",
        "The endpoint is disabled; once it wants some again: refold webhooks enable ENDPOINT; else: "
        "refold webhooks remove ENDPOINT",
    ),
    entry(
        "WEBHOOK_KEY_MISSING", _A, Recovery.FIX_CONFIG, 500, ONCE,
        "The key file does not hold a webhook's secret.",
        "Point REFOLD_WEBHOOK_KEYS to the file that has it, or rotate: refold webhooks rotate ENDPOINT",
    ),
)  # fmt: skip
"""Of webhooks."""

JOB_FAILURES: tuple[CatalogEntry, ...] = (
    entry(
        "JOB_NOT_FOUND", _V, Recovery.FIX_INPUT, 404, ONCE,
        "There is no job of this id.",
        "See what jobs there are: GET /v1/jobs",
    ),
    entry(
        "JOB_CONFLICT", _V, Recovery.FIX_INPUT, 409, ONCE,
        "The job is not in a state for that, or its idempotency key stands for another one.",
        "See how it stands: GET /v1/jobs/{id}; ask for a new one with another key",
    ),
)  # fmt: skip
"""Of jobs."""

SECRET_FAILURES: tuple[CatalogEntry, ...] = (
    entry(
        "SECRET_MISSING", _V, Recovery.FIX_CONFIG, 422, ONCE,
        "A secret that the step refers to is nowhere to be had where the worker runs.",
        "Set it for the worker (REFOLD_SECRETS says where it looks), then: refold retry RUN_ID",
    ),
    entry(
        "SECRET_REFUSED", _A, Recovery.FIX_CONFIG, 422, ONCE,
        "A secret must not be used: others may read its file, it is no text, or it is too short.",
        "Do what the message says, then: refold retry RUN_ID",
    ),
    entry(
        "SECRET_UNAVAILABLE", _T, Recovery.RETRY, 503, BACKOFF,
        "The command that gives the secret failed or took too long.",
        "Run the command by hand, with the secret's name; then: refold retry RUN_ID",
    ),
    entry(
        "SECRET_EXPOSED", _V, Recovery.FIX_INPUT, 422, ONCE,
        "The step would have recorded a secret, in the inputs of a child or the name of a signal.",
        "Let the child's own steps refer to the secret",
    ),
    entry(
        "DATA_ERASED", _P, Recovery.GIVE_UP, 410, ONCE,
        "Sensitive data was erased, or the key to it is not here; hashes and course of the run are still there.",
        "Nothing brings erased data back. Who had it erased, and why: refold verify RUN_ID",
    ),
    entry(
        "DATA_KEY_MISSING", _V, Recovery.FIX_CONFIG, 422, ONCE,
        "There is sensitive data, and no key to encrypt it with.",
        "Make a file of keys, refold data-keys rotate, and name it by REFOLD_DATA_KEYS",
    ),
    entry(
        "SENSITIVE_UNDECLARED", _V, Recovery.FIX_INPUT, 422, ONCE,
        "A function that is not declared sensitive calls a sensitive skill.",
        "Declare it: @workflow(sensitive=True)",
    ),
)  # fmt: skip
"""Of secrets and erasure."""
