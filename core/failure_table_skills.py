"""The failures that come from skills: from their code, and from what they call."""

from __future__ import annotations

from .failure_entry import BACKOFF, ONCE, PATIENT, QUICK, CatalogEntry, Category, Recovery, entry

_T, _P, _R, _A, _V = Category

SKILL_FAILURES: tuple[CatalogEntry, ...] = (
    entry(
        "SKILL_ERROR", _T, Recovery.RETRY, 500, BACKOFF,
        "The skill raised an exception that no other code stands for.",
        "Read the message, which names the exception; give the step max_retries if it may pass, or raise "
        "refold.Failure with a code of your own from the skill. Then: refold retry RUN_ID",
    ),
    entry(
        "SKILL_BUG", _P, Recovery.FORK, 500, ONCE,
        "The skill's code is at fault: a wrong type, attribute, name, import or endless recursion.",
        "Mend the skill, then go on where the run failed: refold retry RUN_ID",
    ),
    entry(
        "SKILL_CANCELLED", _T, Recovery.RETRY, 500, BACKOFF,
        "The skill was cancelled by something within its own process.",
        "Look for what cancels tasks in the skill or its libraries; then: refold retry RUN_ID",
    ),
    entry(
        "SKILL_UNKNOWN", _V, Recovery.FIX_CONFIG, 422, ONCE,
        "No skill of this name is registered.",
        "See what there is with refold skills, and name the module that holds it: refold retry RUN_ID --skills "
        "MODULE",
    ),
    entry(
        "SKILL_INPUT_INVALID", _V, Recovery.FIX_INPUT, 422, ONCE,
        "The step's inputs do not fit the skill's parameters.",
        "Compare the message with the parameters that refold skills lists, then give other inputs: refold fork "
        "RUN_ID --set /inputs/NAME=VALUE",
    ),
    entry(
        "SKILL_OUTPUT_INVALID", _V, Recovery.FORK, 500, ONCE,
        "The skill returned something that is no JSON value.",
        "Return dicts, lists, texts, numbers, dataclasses or pydantic models; then: refold retry RUN_ID",
    ),
    entry(
        "DATA_MALFORMED", _V, Recovery.RETRY, 422, BACKOFF,
        "What the skill read has another form than it must: no JSON, no UTF-8, another shape.",
        "If the sender may do better next time give the step max_retries, else have the data corrected; then: "
        "refold retry RUN_ID",
    ),
    entry(
        "TRANSFORM_FAILED", _V, Recovery.FIX_INPUT, 422, ONCE,
        "The JMESPath expression is wrong or does not fit its data.",
        "Correct the expression in the spec, and run it again under a new id",
    ),
    entry(
        "CALL_TIMEOUT", _T, Recovery.RETRY, 504, BACKOFF,
        "Something that the skill called did not answer within the skill's own time limit.",
        "See that what it calls is up, or allow it more time; then: refold retry RUN_ID",
    ),
    entry(
        "SUBPROCESS_FAILED", _P, Recovery.ASK_PERSON, 500, ONCE,
        "A program that the skill started ended with an error.",
        "Run the program by hand and read what it says; then: refold retry RUN_ID",
    ),
    entry(
        "HTTP_UNREACHABLE", _T, Recovery.RETRY, 502, BACKOFF,
        "The HTTP server could not be reached or broke off.",
        "Try its address with curl from where the worker runs; then: refold retry RUN_ID",
    ),
    entry(
        "HTTP_SERVER_ERROR", _T, Recovery.RETRY, 502, BACKOFF,
        "The HTTP server answered 5xx.",
        "Ask whoever runs the server, or wait until it is well; then: refold retry RUN_ID",
    ),
    entry(
        "HTTP_RATE_LIMITED", _R, Recovery.RETRY_LATER, 503, PATIENT,
        "The HTTP server answered 429: too many requests.",
        "Give the step max_retries with long pauses, or let fewer such steps run at a time; then: refold retry "
        "RUN_ID",
    ),
    entry(
        "HTTP_DENIED", _A, Recovery.FIX_CONFIG, 502, ONCE,
        "The HTTP server answered 401, 403 or 407: it knows no such rights.",
        "Renew the credentials that the skill sends, or have the rights granted; then: refold retry RUN_ID",
    ),
    entry(
        "HTTP_CLIENT_ERROR", _P, Recovery.FIX_INPUT, 502, ONCE,
        "The HTTP server answered 4xx, or redirected without end.",
        "Correct the URL or the body that the step sends: refold fork RUN_ID --set /inputs/NAME=VALUE",
    ),
    entry(
        "NETWORK_UNREACHABLE", _T, Recovery.RETRY, 502, BACKOFF,
        "Nobody takes connections at the address that the skill called.",
        "See that the service is up and that nothing on the way blocks its port; then: refold retry RUN_ID",
    ),
    entry(
        "NETWORK_INTERRUPTED", _T, Recovery.RETRY, 502, BACKOFF,
        "The other side broke the connection off.",
        "Give the step max_retries; if it happens each time read the other side's log; then: refold retry RUN_ID",
    ),
    entry(
        "HOST_UNKNOWN", _T, Recovery.FIX_CONFIG, 502, BACKOFF,
        "The name of the host could not be resolved.",
        "Check its spelling and the name server: getent hosts NAME; then: refold retry RUN_ID",
    ),
    entry(
        "TLS_FAILED", _A, Recovery.FIX_CONFIG, 502, ONCE,
        "The two sides could not agree on a secure connection, mostly because of a certificate.",
        "See whether the certificate has run out or its issuer is unknown: openssl s_client -connect HOST:443; "
        "then: refold retry RUN_ID",
    ),
    entry(
        "DATABASE_UNREACHABLE", _T, Recovery.RETRY, 502, BACKOFF,
        "The database that the skill uses does not answer, or broke the connection off.",
        "See that it is up and takes connections; then: refold retry RUN_ID",
    ),
    entry(
        "DATABASE_CONFLICT", _T, Recovery.RETRY, 503, QUICK,
        "Another transaction was in the way: a deadlock, a lock or a serialization failure.",
        "Give the step max_retries: the next attempt mostly succeeds. Then: refold retry RUN_ID",
    ),
    entry(
        "DATABASE_CONSTRAINT", _P, Recovery.FIX_INPUT, 409, ONCE,
        "The database refused a row: a key that exists, or a value that may not be.",
        "See whether an earlier attempt has written the row already; use the idempotency key as its key, with ON "
        "CONFLICT DO NOTHING; then: refold retry RUN_ID",
    ),
    entry(
        "DATABASE_STATEMENT", _P, Recovery.FORK, 500, ONCE,
        "The database does not understand the statement: syntax, or no such table or column.",
        "Mend the statement or bring the schema up to date; then: refold retry RUN_ID",
    ),
    entry(
        "DATABASE_DENIED", _A, Recovery.FIX_CONFIG, 502, ONCE,
        "The database does not let the skill in, or not do this.",
        "Check user, password and grants; then: refold retry RUN_ID",
    ),
    entry(
        "DATABASE_FULL", _R, Recovery.RETRY_LATER, 503, PATIENT,
        "The database has no connection, memory or disk left.",
        "Free some, or raise its limits; then: refold retry RUN_ID",
    ),
    entry(
        "DATABASE_ERROR", _T, Recovery.ASK_PERSON, 502, BACKOFF,
        "The database refused for another reason.",
        "Look its message up in the database's manual; then: refold retry RUN_ID",
    ),
    entry(
        "FILE_REFUSED", _A, Recovery.FIX_INPUT, 403, ONCE,
        "The path lies outside the folder that skills may write to.",
        "Give a path below the folder that REFOLD_FILES_ROOT names: refold fork RUN_ID --set /inputs/NAME=VALUE",
    ),
    entry(
        "FILE_DENIED", _A, Recovery.FIX_CONFIG, 403, ONCE,
        "The system does not permit what was to be done with a file.",
        "See who may: ls -ld PATH; let the worker's user do it; then: refold retry RUN_ID",
    ),
    entry(
        "FILE_MISSING", _P, Recovery.FIX_INPUT, 422, ONCE,
        "A file or folder that the skill needs is not there.",
        "Put it there, or give another path: refold fork RUN_ID --set /inputs/NAME=VALUE",
    ),
    entry(
        "FILE_ERROR", _R, Recovery.ASK_PERSON, 500, BACKOFF,
        "A file or folder could not be read or written.",
        "See what stands at the path, and whether the disk is well; then: refold retry RUN_ID",
    ),
    entry(
        "DISK_FULL", _R, Recovery.RETRY_LATER, 507, PATIENT,
        "No space is left on the disk, or the quota is used up.",
        "Make room: df -h shows where; then: refold retry RUN_ID",
    ),
    entry(
        "MEMORY_EXHAUSTED", _R, Recovery.RETRY_LATER, 503, PATIENT,
        "The worker has no memory left for the skill.",
        "Give the worker more memory, or the step less to do at a time; then: refold retry RUN_ID",
    ),
    entry(
        "DESCRIPTORS_EXHAUSTED", _R, Recovery.RETRY_LATER, 503, PATIENT,
        "The worker may open no more files or connections.",
        "Raise the limit (ulimit -n) or lower how many steps run at a time; then: refold retry RUN_ID",
    ),
)  # fmt: skip
"""By the part of the world that they come from."""
