"""Jobs that build a projection anew beside the one that is read, and switch to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast
from uuid import uuid4

from ...eventstore.owner import this_process
from ...projections.rebuild import Progress, Rebuild
from ...projections.standings import check_name
from .means import Working


def rebuild(work: Working) -> Mapping[str, Any]:
    """Rebuild the projection of a job; its result. To be called on a thread.

    Raises StopAskedError, StoreError, CallError, and ReplayDivergenceError where rows differ that were compared.
    """
    means, what = work.means, cast("Any", work.what)
    known = means.projections()
    projection = known[check_name(what["name"], known)]
    if work.held.job.selected is None:
        work.wait(work.held.select(means.store.last_position(), {"name": what["name"]}))
    work.total = max(work.held.job.total or 0, work.done)

    def watch(told: Progress) -> None:
        # One that was interrupted at its very end begins again: nothing is undone by that.
        work.done = max(work.done, told.position)
        work.total = max(work.total, work.done, told.of)
        if work.is_due or work.to_stop:
            work.wait(work.heed())

    owner = this_process(uuid4().hex)
    made = Rebuild(means.store, projection, owner, watch=watch, start=means.start, processes=means.processes)
    done = made.run(compare=what["compare"], shadow=what["shadow"])
    work.done = work.total = max(work.total, done.position)
    work.wait(work.progress())
    told = done._asdict()
    files = told.pop("files")
    return {**told, "equal": True if done.compared else None, "files": None if files is None else files._asdict()}
