"""Jobs as they are shown: one, and a tenant's, the latest asked for first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from ..core.errors import RefoldError
from ..core.ids import CONTROL, JOBS, check_tenant, job_of_stream
from ..core.job_log import Job, job_of
from ..eventstore.log import EventLog
from ..eventstore.store import Store
from .times import iso

CERTIFICATE = "certificate"
"""What a result holds besides what is shown: the text of a replay's certificate."""

_PAGE = 2_000

_NAMED = 100
"""So many of the runs that a job was asked for by name are shown."""


class JobPage(NamedTuple):
    """Jobs, and the cursor of the next page; None at the end."""

    jobs: list[dict[str, Any]]
    next_cursor: int | None


def job_view(job: Job) -> dict[str, Any]:
    """A job as a JSON object, with times as texts."""
    asked = job.asked
    return {
        "job_id": asked.job_id,
        "kind": asked.kind,
        "tenant": asked.tenant,
        "asked_by": asked.by,
        "what": _short(asked.what.value),
        "status": job.status,
        "progress": {
            "done": job.done,
            "total": job.total,
            "failed": job.failed,
            "rate": None if job.rate is None else round(job.rate, 3),
            "seconds_left": None if job.seconds_left is None else round(job.seconds_left, 1),
        },
        "findings": list(job.findings),
        "more_findings": job.more_findings,
        "result": _shown(job.result),
        "error_code": job.error_code,
        "reason": job.reason,
        "worker": job.worker,
        "taken": job.taken,
        "asked_at": iso(asked.at),
        "started_at": _time(job.started_at),
        "updated_at": iso(job.updated_at),
        "ended_at": _time(job.ended_at),
    }


def jobs_of(
    store: Store, tenant: str, before: int | None, limit: int, kind: str | None = None, status: str | None = None
) -> JobPage:
    """At most `limit` of the tenant's jobs that were asked for before the cursor `before`, of a kind and status.

    One whose log cannot be read is left out: `refold verify --all` tells of it. Raises CallError for what is no tenant.
    """
    log, found, last = EventLog(store, ""), list[dict[str, Any]](), None
    starts = store.starts(job_streams(store, tenant))
    for stream, position in sorted(starts.items(), key=lambda each: -each[1]):
        if before is not None and position >= before:
            continue
        named = job_of_stream(stream)
        try:
            view = None if named is None else job_view(job_of(log.events(stream), *named))
        except RefoldError:
            continue
        if view is None or kind not in (None, view["kind"]) or status not in (None, view["status"]):
            continue
        if len(found) == limit:
            return JobPage(found, last)
        last = position
        found.append(view)
    return JobPage(found, None)


def job_streams(store: Store, tenant: str) -> list[str]:
    """The control streams of the tenant's jobs, by name. Raises CallError for what is no tenant."""
    prefix = f"{JOBS}/{check_tenant(tenant)}/"
    found, after = list[str](), prefix
    while page := store.sweep.names(CONTROL, after, _PAGE):
        mine = [name for name in page if name.startswith(prefix)]
        found += mine
        if len(mine) < len(page):
            break
        after = page[-1]
    return found


def _short(value: Any) -> Any:
    """`value` with no more than the first of long lists in it."""
    if isinstance(value, dict):
        return {name: _short(item) for name, item in cast("dict[str, Any]", value).items()}
    return cast("list[Any]", value)[:_NAMED] if isinstance(value, list) else value


def _time(at: int | None) -> str | None:
    return None if at is None else iso(at)


def _shown(result: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if result is None else {name: value for name, value in result.items() if name != CERTIFICATE}
