"""The failures of steps and runs that the engine itself finds, and of specs, calls, stores and proofs."""

from __future__ import annotations

from .failure_entry import BACKOFF, ONCE, PATIENT, QUICK, CatalogEntry, Category, Recovery, entry

_T, _P, _R, _A, _V = Category

STEP_FAILURES: tuple[CatalogEntry, ...] = (
    entry(
        "STEP_TIMEOUT", _T, Recovery.RETRY, 504, BACKOFF,
        "An attempt, or a wait, took longer than the step's timeout_seconds.",
        "See what it waits for; raise timeout_seconds, or give the step max_retries; then: refold retry RUN_ID",
    ),
    entry(
        "HEARTBEAT_MISSED", _T, Recovery.RETRY, 504, BACKOFF,
        "A running attempt gave no sign of life for too long.",
        "See that the skill calls heartbeat() often enough and does not hang; then: refold retry RUN_ID",
    ),
    entry(
        "INTERRUPTED", _P, Recovery.ASK_PERSON, 500, ONCE,
        "An at-most-once step was cut off; whether it took effect is unknown.",
        "Find out whether it took effect. If not: refold retry RUN_ID; if it did, say with what output: refold "
        "fork RUN_ID --set /steps/STEP/output=VALUE",
    ),
    entry(
        "SIGNAL_TIMEOUT", _R, Recovery.ASK_PERSON, 504, ONCE,
        "The signal that the step waited for did not come in time.",
        "Have it sent (refold signal) once a retry waits for it: refold retry RUN_ID",
    ),
    entry(
        "CHILD_FAILED", _P, Recovery.FORK, 424, ONCE,
        "The run that the step started did not complete.",
        "The message names the child: refold show CHILD_ID; cure that one's failure, then: refold retry RUN_ID",
    ),
    entry(
        "CHILD_TIMEOUT", _R, Recovery.FIX_INPUT, 504, ONCE,
        "The run that the step started did not end in time.",
        "See what the child waits for: refold show CHILD_ID; allow it more time; then: refold retry RUN_ID",
    ),
    entry(
        "REFERENCE_UNRESOLVED", _V, Recovery.FIX_INPUT, 422, ONCE,
        "A reference names a field that the output does not have.",
        "The message lists the fields that there are: correct the reference, and run the spec again",
    ),
    entry(
        "INPUT_TOO_LARGE", _R, Recovery.FIX_INPUT, 413, ONCE,
        "The inputs exceed the size limit.",
        "Hand over a path or an address instead of the data itself, or raise Limits.payload_bytes",
    ),
    entry(
        "OUTPUT_TOO_LARGE", _R, Recovery.FORK, 413, ONCE,
        "The output exceeds the size limit.",
        "Have the skill store the data and return where; then: refold retry RUN_ID",
    ),
    entry(
        "OUTPUT_INVALID", _V, Recovery.FORK, 422, ONCE,
        "The run's output has no canonical JSON, such as one nested too deeply.",
        "Return a simpler value; refold show RUN_ID tells the reason",
    ),
)  # fmt: skip
"""Of steps and outputs."""

RUN_FAILURES: tuple[CatalogEntry, ...] = (
    entry(
        "WORKFLOW_ERROR", _P, Recovery.FORK, 500, ONCE,
        "The workflow function raised an exception.",
        "Mend the function, then: refold retry RUN_ID --app MODULE",
    ),
    entry(
        "WORKFLOW_UNKNOWN", _V, Recovery.FIX_CONFIG, 404, ONCE,
        "No workflow of this name is registered.",
        "Name the module that holds it, for a worker or here: refold resume RUN_ID --app MODULE",
    ),
    entry(
        "NONDETERMINISM", _P, Recovery.FORK, 409, ONCE,
        "The workflow's code does not fit the run's history.",
        "refold replay RUN_ID --app MODULE shows where; bring the old order back or use patched(), then: refold "
        "resume RUN_ID --app MODULE",
    ),
    entry(
        "FOREIGN_AWAIT", _P, Recovery.FORK, 409, ONCE,
        "The workflow function awaited something that no replay could repeat.",
        "Move it into a skill, then: refold resume RUN_ID --app MODULE",
    ),
    entry(
        "RUN_TIMEOUT", _R, Recovery.FORK, 504, ONCE,
        "The run took longer than its timeout_seconds.",
        "See where the time went: refold timeline RUN_ID; allow more, and go on from a step: refold fork RUN_ID "
        "--from-step STEP",
    ),
    entry(
        "RUN_CANCELLED", _P, Recovery.GIVE_UP, 409, ONCE,
        "The run was cancelled.",
        "If that was a mistake, go on from a step: refold fork RUN_ID --from-step STEP",
    ),
    entry(
        "RUN_NOT_FOUND", _V, Recovery.FIX_INPUT, 404, ONCE,
        "No run of this id.",
        "See which there are, and give --tenant where it is another's: refold list",
    ),
    entry(
        "RUN_CONFLICT", _V, Recovery.FIX_INPUT, 409, ONCE,
        "The run id is taken by a run of another spec, inputs or seed.",
        "Give another run id, or leave it out; what has this one: refold show RUN_ID",
    ),
    entry(
        "RUN_OWNED", _T, Recovery.RETRY_LATER, 409, BACKOFF,
        "Another live process is working on the run.",
        "Wait until it ends or is given up: refold show RUN_ID",
    ),
    entry(
        "RUN_ENDED", _V, Recovery.GIVE_UP, 409, ONCE,
        "The run has ended.",
        "It takes no more messages; to go on from one of its steps: refold fork RUN_ID --from-step STEP",
    ),
    entry(
        "RUN_FAILED", _P, Recovery.FORK, 409, ONCE,
        "The run whose result was asked for did not complete.",
        "Its own code says why: refold show RUN_ID; then: refold retry RUN_ID",
    ),
    entry(
        "QUERY_UNANSWERED", _T, Recovery.RETRY, 504, BACKOFF,
        "No worker answered the query in time.",
        "See that a worker serves the workflow: refold workers",
    ),
)  # fmt: skip
"""Of runs as a whole, and of what is asked of them."""

CALL_FAILURES: tuple[CatalogEntry, ...] = (
    entry(
        "SPEC_INVALID", _V, Recovery.FIX_INPUT, 422, ONCE,
        "The workflow spec cannot run.",
        "Each problem names a place and a fix: correct the spec, and start it again",
    ),
    entry(
        "SPEC_CONFLICT", _V, Recovery.FIX_INPUT, 409, ONCE,
        "The version of the workflow is registered with another content.",
        "Give the changed spec a new version; what is registered: refold specs show TYPE",
    ),
    entry(
        "SPEC_NOT_FOUND", _V, Recovery.FIX_INPUT, 404, ONCE,
        "No spec is registered under this name or version.",
        "See what there is: refold specs list; register it: refold specs put FILE",
    ),
    entry(
        "INPUT_INVALID", _V, Recovery.FIX_INPUT, 422, ONCE,
        "A document, value or argument is not acceptable.",
        "Each problem names a place and a fix: correct what was given, and call again",
    ),
    entry(
        "ROUTE_UNKNOWN", _V, Recovery.FIX_INPUT, 404, ONCE,
        "The server serves nothing under this path, or not by this method.",
        "See what there is in the server's /v1/openapi.json",
    ),
    entry(
        "RESOURCE_NOT_FOUND", _V, Recovery.FIX_INPUT, 404, ONCE,
        "There is no such thing, or it is not this caller's.",
        "Look at the list of what there is; names are told exactly, and each tenant has its own",
    ),
    entry(
        "PROJECTION_NOT_BUILT", _T, Recovery.RETRY_LATER, 503, PATIENT,
        "What is asked for is read from a projection, and no projector has run yet.",
        "Start: refold projector",
    ),
    entry(
        "NOT_CONFIGURED", _R, Recovery.FIX_CONFIG, 409, ONCE,
        "The server was not told where the files lie that this needs.",
        "Set what the message names, and start the server again",
    ),
    entry(
        "TREE_BEHIND", _T, Recovery.RETRY_LATER, 409, PATIENT,
        "The tree over the log, or its signed head, does not hold this yet.",
        "Make a new head: refold audit head --key FILE",
    ),
)  # fmt: skip
"""Of what callers give."""

STORE_FAILURES: tuple[CatalogEntry, ...] = (
    entry(
        "OWNERSHIP_LOST", _T, Recovery.RETRY_LATER, 409, QUICK,
        "Another process took the run over.",
        "Nothing is lost: the other one goes on with it: refold show RUN_ID",
    ),
    entry(
        "STORE_UNREACHABLE", _T, Recovery.RETRY, 503, BACKOFF,
        "The database does not answer.",
        "See that it is up and that REFOLD_DATABASE_URL names it: refold migrate --dry-run",
    ),
    entry(
        "RUN_OPEN", _P, Recovery.RETRY_LATER, 409, ONCE,
        "The run goes on, and what was asked for follows from its end.",
        "Wait for its end: refold show RUN_ID, or GET /v1/runs/RUN_ID/result",
    ),
    entry(
        "IDEMPOTENCY_CONFLICT", _P, Recovery.FIX_INPUT, 409, ONCE,
        "The idempotency key was used for another request.",
        "Send what the key was first sent with, or this with a key of its own",
    ),
    entry(
        "STREAMS_EXHAUSTED", _R, Recovery.RETRY_LATER, 503, PATIENT,
        "As many listen to live events as the server, or the caller, has places for.",
        "Come back after the time of Retry-After, close streams that nobody reads, or read the events page by page",
    ),
    entry(
        "STORE_REFUSED", _P, Recovery.FIX_CONFIG, 503, ONCE,
        "The database could lose data, or its schema is not ours.",
        "Bring the schema up to date with refold migrate, or change the setting that the message names",
    ),
    entry(
        "GOLDEN_STORE", _R, Recovery.FIX_CONFIG, 503, BACKOFF,
        "The folder of goldens cannot be read or written.",
        "Make room, or let this user write there; what was missed is written afterwards: refold projections list",
    ),
    entry(
        "INTEGRITY_BROKEN", _P, Recovery.ASK_PERSON, 500, ONCE,
        "Stored bytes are not what was written.",
        "Stop who may write to the database, keep a copy of it, and see what was changed: refold verify --all",
    ),
    entry(
        "REPLAY_DIVERGED", _P, Recovery.FORK, 409, ONCE,
        "Running again gave another result than the log holds.",
        "See where and why: refold replay RUN_ID --app MODULE; mend the skill that changed",
    ),
    entry(
        "INTERNAL_ERROR", _P, Recovery.ASK_PERSON, 500, ONCE,
        "A fault in Refold itself.",
        "Set REFOLD_TRACEBACK=1, do it again, and report what is shown",
    ),
)  # fmt: skip
"""Of the store, of proofs, and our own."""
