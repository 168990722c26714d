"""Names of runs, tenants and streams, and base seeds: what is accepted, and how streams are called.

A run lives in the stream `{tenant}/{run id}`, its inbox in `{tenant}/{run id}/inbox`. Neither name can hold a slash,
so no two runs share a stream. Streams that begin with `control/` belong to no run, and no tenant can be called so.
"""

from __future__ import annotations

import re

from .errors import CallError, Problem
from .hashing import sha256_hex
from .seeds import MAX_SEED

CONTROL = "control"
"""What the names of control streams begin with: a name that no tenant may have."""

GOLDEN_KEYS = f"{CONTROL}/golden_keys"
"""The control stream of the keys that goldens are signed with."""

ERASURES = f"{CONTROL}/erasures"
"""The control stream of what was erased."""

CHECKPOINTS = f"{CONTROL}/checkpoints"
"""The control stream of what is found out about checkpoints."""

POLICIES = f"{CONTROL}/policies"
"""The control stream of the policies that were ever in use."""

ARCHIVES = f"{CONTROL}/archives"
"""The control stream of the files that ended runs were moved to."""

BUDGETS = f"{CONTROL}/budgets"
"""The control stream of what operators add to budgets."""

EMERGENCY = f"{CONTROL}/emergency"
"""The control stream of emergency stops."""

ACCESS = f"{CONTROL}/access"
"""The control stream of the keys of the HTTP API."""

SESSIONS = f"{CONTROL}/sessions"
"""What the names of the console's sessions' control streams begin with, each with its id."""

JOBS = f"{CONTROL}/jobs"
"""What the control streams of jobs begin with; also the queue that they wait in, which no run can name."""

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@~-]{0,199}")
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@~-]{0,99}")
_SIGNAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@~-]{0,199}")
_QUEUE = re.compile(r"[A-Za-z0-9._:@~-]{1,100}")
_JOB_ID = re.compile(r"job-[0-9a-f]{32}")
_ALPHABET = "start with a letter or digit, then only letters, digits and . _ : @ ~ -"


def check_run_id(text: object) -> str:
    """`text` if it can name a run: a letter or digit, then up to 199 letters, digits or `._:@~-`. Else CallError."""
    return _check(text, _RUN_ID, "run id", 200)


def check_tenant(text: object) -> str:
    """`text` if it can name a tenant: the alphabet of run ids, up to 100 characters, but `control`; else CallError."""
    if text == CONTROL:
        reason = f"the tenant {CONTROL!r} is reserved: control streams begin with this name"
        raise CallError(Problem("", reason, "choose another name"))
    return _check(text, _TENANT, "tenant", 100)


def check_signal(text: object) -> str:
    """`text` if it can name a signal: the alphabet of run ids, up to 200 characters; else CallError."""
    return _check(text, _SIGNAL, "signal", 200)


def check_queue(queue: object) -> str:
    """Raises CallError for what cannot be the name of a queue."""
    if not isinstance(queue, str) or not _QUEUE.fullmatch(queue):
        raise CallError(Problem("", "a queue is 1 to 100 letters, digits and . _ : @ ~ -", "name another one"))
    return queue


def check_seed(seed: object) -> int:
    """`seed` if it is an integer of 0 to 2^53-1, which JSON carries exactly (RFC 8259, 6). Else CallError."""
    if isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed <= MAX_SEED:
        return seed
    raise CallError(Problem("", f"seed {_shown(seed)} is not possible", f"give an integer from 0 to {MAX_SEED}"))


def stream_of(tenant: str, run_id: str) -> str:
    """The stream of the run. Raises CallError for a tenant or run id that cannot be."""
    return f"{check_tenant(tenant)}/{check_run_id(run_id)}"


def inbox_of(stream: str) -> str:
    """The inbox that belongs to the run of `stream`."""
    return stream + "/inbox"


def child_of(run_id: str, step: str) -> str:
    """The id of the run that a step of the run starts, where the step does not name one."""
    return _suffixed(run_id, f"~{step}")


def successor_of(run_id: str, *, continued: bool) -> str:
    """The id of the run that continues the run: `order~c2` after `order`, then (`continued`) `order~c3`."""
    base, mark, number = run_id.rpartition("~c")
    if continued and mark and number.isdecimal():
        return _suffixed(base, f"~c{int(number) + 1}")
    return _suffixed(run_id, "~c2")


def _suffixed(run_id: str, suffix: str) -> str:
    whole = run_id + suffix
    if len(whole) <= 200 and _RUN_ID.fullmatch(whole):
        return whole
    # Too long, or a step's name that cannot be part of a run's: a hash stands for it.
    kept = suffix if suffix.startswith("~c") and len(suffix) < 20 else ""
    return f"{run_id[:120]}~{sha256_hex(whole.encode())[:32]}{kept}"


def specs_of(tenant: str) -> str:
    """The control stream that holds the tenant's registered specs. Raises CallError for a tenant that cannot be."""
    return f"{CONTROL}/specs/{check_tenant(tenant)}"


def goldens_of(tenant: str) -> str:
    """The control stream of the tenant's goldens. Raises CallError for a tenant that cannot be."""
    return f"{CONTROL}/goldens/{check_tenant(tenant)}"


def requests_of(tenant: str) -> str:
    """What the control streams of the tenant's keyed requests begin with. Raises CallError for no tenant."""
    return f"{CONTROL}/requests/{check_tenant(tenant)}"


def webhooks_of(tenant: str) -> str:
    """The control stream of the tenant's webhooks. Raises CallError for a tenant that cannot be."""
    return f"{CONTROL}/webhooks/{check_tenant(tenant)}"


def session_stream(session_id: str) -> str:
    """The control stream of a session of the console."""
    return f"{SESSIONS}/{session_id}"


def is_job_id(text: str) -> bool:
    """Whether a job could be called so."""
    return _JOB_ID.fullmatch(text) is not None


def job_stream(tenant: str, job_id: str) -> str:
    """The control stream of a job. Raises CallError for a tenant or a job id that cannot be."""
    return f"{JOBS}/{check_tenant(tenant)}/{_check(job_id, _JOB_ID, 'job id', 36)}"


def job_of_stream(stream: str) -> tuple[str, str] | None:
    """Tenant and job id of a job's control stream; None for any other stream."""
    tenant, _, job_id = stream.removeprefix(f"{JOBS}/").partition("/")
    is_one = stream.startswith(f"{JOBS}/") and _TENANT.fullmatch(tenant) and is_job_id(job_id)
    return (tenant, job_id) if is_one else None


def run_of(stream: str) -> tuple[str, str]:
    """Tenant and run id of a run's stream. Raises CallError for anything else, inboxes included."""
    tenant, _, run_id = stream.partition("/")
    if _TENANT.fullmatch(tenant) and tenant != CONTROL and _RUN_ID.fullmatch(run_id):
        return tenant, run_id
    raise CallError(Problem("", f"{_shown(stream)} is no run's stream", "give it as tenant/run-id"))


def _check(text: object, pattern: re.Pattern[str], what: str, longest: int) -> str:
    if isinstance(text, str) and pattern.fullmatch(text):
        return text
    raise CallError(Problem("", f"{what} {_shown(text)} is not possible", f"{_ALPHABET}; at most {longest} characters"))


def _shown(value: object) -> str:
    # An integer of thousands of digits cannot be printed, and a hostile text must not fill the log.
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 128:
        return "of more than 128 bits"
    if not isinstance(value, str | int | float | None):
        return f"of type {type(value).__name__}"
    shown = ascii(value[:201] if isinstance(value, str) else value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
