"""Who works: leases of the dead, workers that went silent, queues that nobody serves."""

from __future__ import annotations

import shlex
from collections import Counter

from ...core.checks import Check
from ...eventstore.log import EventLog
from ...eventstore.owner import is_dead
from ...projections.worker_reports import LOST_SECONDS, WorkerReport, lacking, reports, told
from .patient import Patient


def leases(patient: Patient) -> Check:
    """`leases`: no run is held by a process of this host that has ended. (A worker of this host would free it.)"""
    held = patient.store.dispatch.leases()
    dead = {owner for owner in {row.owner for row in held if row.owner is not None} if is_dead(owner)}
    lost = sum(row.owner in dead for row in held)
    if not lost:
        return Check("leases", "ok", 0, 0, "lost", f"{len(held)} runs are held")
    soon = max(row.seconds_left for row in held if row.owner in dead)
    detail = f"{lost} runs are held by {len(dead)} dead processes, the last one for {soon:.0f} s more"
    return Check("leases", "failed", lost, 0, "lost", detail, patient.command("doctor --fix"))


def free(patient: Patient) -> str:
    """Free what dead processes of this host hold."""
    freed = EventLog(patient.store, "").bury_the_dead()
    return f"freed {freed} runs of dead processes" if freed else ""


def workers(patient: Patient) -> Check:
    """`workers`: none has fallen silent without a successor."""
    found = reports(patient.store)
    live = [worker for worker in found if not worker.lost]
    lost = [worker for worker in found if worker.lost and not any(_stands_in(other, worker) for other in live)]
    if not lost:
        return Check("workers", "ok", len(live), unit="alive")
    names = ", ".join(f"process {worker.pid} on {worker.host}" for worker in lost[:3])
    more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
    detail = f"silent for over {LOST_SECONDS} s without a goodbye: {names}{more}; {len(live)} others are alive"
    queues = " ".join(f"--queue {shlex.quote(queue)}" for queue in lost[0].queues)
    return Check(
        "workers", "warning", len(lost), 0, "lost", detail, patient.command(f"worker --skills MODULE {queues}")
    )


def _stands_in(worker: WorkerReport, lost: WorkerReport) -> bool:
    """Whether a worker serves all that the lost one did."""
    return set(worker.queues) >= set(lost.queues) and set(worker.skills) >= set(lost.skills)


def forget(patient: Patient) -> str:
    """Take the dead of this host off the list of workers."""
    dispatch = patient.store.dispatch
    dead = [row.owner for row in dispatch.workers() if is_dead(row.owner)]
    for owner in dead:
        dispatch.leave(owner)
    return f"took {len(dead)} dead processes off the list of workers" if dead else ""


def queues(patient: Patient) -> Check:
    """`queues`: where runs wait, a live worker serves them."""
    alive = [worker for worker in reports(patient.store) if not worker.draining]
    waiting, reasons = Counter[str](), dict[str, str]()
    ready = [depth for depth in patient.store.dispatch.depths() if depth.ready]
    for depth in ready:
        missing = lacking([worker for worker in alive if depth.queue in worker.queues], depth.needs)
        if missing is not None:
            waiting[depth.queue] += depth.ready
            reasons.setdefault(depth.queue, told(depth.queue, missing))
    if not waiting:
        return Check("queues", "ok", sum(depth.ready for depth in ready), unit="waiting")
    queue, runs = waiting.most_common(1)[0]
    others = f"; so do {len(waiting) - 1} other queues" if len(waiting) > 1 else ""
    detail = f"{runs} runs wait in queue {queue}: {reasons[queue]}{others}"
    fix = patient.command(f"worker --skills MODULE --queue {shlex.quote(queue)}")
    return Check("queues", "failed", sum(waiting.values()), 0, "unserved", detail, fix)
