"""Jobs that prove runs against today's code: chunk by chunk, each noted in the job's log when it is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from ...core.errors import CallError, Problem
from ...projections.jobs import CERTIFICATE
from ...projections.times import iso
from ...replay.certificate import body_of, certificate
from ...replay.fleet import ChunkProof, Order, chunks_of, hash_at
from ...replay.jobs import JobEnd, run_job
from .means import Working

_FAILED = ("diverged", "broken")
_MOST_UNPROVED = 30
_LONGEST = 500
_WHERE = {
    "divergence": "kind",
    "event": "event",
    "step_id": "step_id",
    "pointer": "pointer",
    "recorded": "recorded",
    "now": "now",
    "advice": "advice",
}


def order_of(told: Mapping[str, Any]) -> Order:
    """The order that a request has put down, before it is known up to where and by which code."""
    return Order.of_json(told)


def prove(work: Working) -> Mapping[str, Any]:
    """Prove the runs of a job, from where it stands on; its result. To be called on a thread.

    Raises StopAskedError, StoreError, and CallError where the code or the log is another than when it began.
    """
    means, what = work.means, cast("Any", work.what)
    order = _begun(work)
    work.total = work.held.job.total or 0
    book = _LogBook(work)
    with means.crew(order) as crew:
        end = run_job(means.store, order, crew, book, alone=not what["everywhere"])
    if work.told:
        work.wait(work.heed(at_once=True))
    made_at = iso(means.engine.jobs.now())
    signed = certificate(body_of(end, means.kind), made_at, means.key())
    return {**_result(end), CERTIFICATE: signed.decode()}


def _begun(work: Working) -> Order:
    """What the job proves, as it was when somebody first took it up."""
    means, asked = work.means, work.held.job.asked
    told: Any = work.what
    if work.held.job.selected is None:
        order = replace(order_of(told["order"]), until=asked.until, head=hash_at(means.store, asked.until))
        order = replace(order, code=means.code)
        total = sum(len(chunk.streams) for chunk in chunks_of(means.store, order.query, order.until))
        work.wait(work.held.select(total, {"order": order.to_json()}))
        return order
    known: Any = work.held.job.selected.items.value
    order = Order.of_json(known["order"])
    if order.code != means.code:
        reason = "the code here is another than the one by which the job began"
        raise CallError(Problem("", reason, "begin a new one"))
    if hash_at(means.store, order.until) != order.head:
        raise CallError(Problem("", "the log is another one than when the job began", "verify it: refold verify --all"))
    return order


class _LogBook:
    """The chunks of a job in its log; fulfils `refold.replay.jobs.Book`."""

    def __init__(self, work: Working):
        self._work = work
        steps = work.held.job.steps
        self._known = [ChunkProof.of_json(each) for step in steps for each in step.get("chunks", ())]
        self._unproved = sum(each.get("code") not in _FAILED for each in work.held.job.findings)

    def done(self) -> Iterator[ChunkProof]:
        """See `Book.done`."""
        return iter(self._known)

    def add(self, proof: ChunkProof) -> None:
        """See `Book.add`. Raises StopAskedError."""
        work = self._work
        bad = [each for each in proof.told if each["verdict"] in _FAILED]
        unproved = [each for each in proof.told if each["verdict"] not in (*_FAILED, "equal")]
        # A log of runs that this code cannot prove would leave no room for what is wrong.
        room = max(_MOST_UNPROVED - self._unproved, 0)
        self._unproved += len(unproved)
        work.add("chunks", [proof.to_json()])
        work.add("findings", [finding_of(each) for each in [*bad, *unproved[:room]]])
        work.done = min(work.done + proof.tally.runs, work.total)
        work.failed = min(work.failed + len(bad), work.done)
        if work.is_due or work.to_stop:
            work.wait(work.heed())


def finding_of(run: Mapping[str, Any]) -> dict[str, Any]:
    """What is told of a run (a `RunProof` as JSON) that is not equal: which proof it did not pass, and where."""
    name, found = next((name, each) for name, each in run["proofs"].items() if each["verdict"] != "equal")
    divergence: Mapping[str, Any] = found.get("divergence") or {}
    reason = str(divergence.get("message") or found.get("reason") or "")
    told = {"run_id": run["run_id"], "code": run["verdict"], "proof": name, "reason": reason[:_LONGEST]}
    where = {to: divergence.get(name) for to, name in _WHERE.items()}
    # What is not known is left out, as in the log of a job that is older.
    said = {name: value[:_LONGEST] if isinstance(value, str) else value for name, value in where.items() if value}
    return {**told, **said}


def _result(end: JobEnd) -> dict[str, Any]:
    verdicts = end.tally.verdicts
    return {
        "ok": not end.broken and not verdicts["diverged"],
        "runs": end.tally.runs,
        "events": end.tally.events,
        "verdicts": verdicts,
        "reasons": end.tally.reasons,
        "digest": end.digest,
        "position": end.order.until,
        "control": [
            {"stream": each.stream, "about": each.about, "events": each.events, "ok": each.ok} for each in end.control
        ],
        "archives": None if end.archives is None else {"files": end.archives.archives, "ok": end.archives.ok},
    }
