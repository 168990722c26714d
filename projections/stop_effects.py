"""What an emergency stop would hold back: counted before it is enabled, so that whoever does it knows."""

from __future__ import annotations

from typing import NamedTuple

from ..core.canonical import decode
from ..core.emergency import Scope
from ..core.ids import CONTROL
from ..core.needs import SPEC, WORKFLOW
from ..eventstore.depths import HELD_FROM, HELD_UNTIL
from ..eventstore.store import Store
from .worker_reports import reports


class StopEffect(NamedTuple):
    """How many open runs a stop would be about: `leased` are with a worker now, `ready` would begin next, `later` wait
    for a time or a message, and `held` are held back already. `workers` are alive and go by it."""

    leased: int
    ready: int
    later: int
    held: int
    workers: int

    @property
    def runs(self) -> int:
        """All of them."""
        return self.leased + self.ready + self.later + self.held


def stop_effect(store: Store, scope: Scope) -> StopEffect:
    """What a stop of `scope` would hold back at this moment; it reads every dispatch row. Raises StoreError."""
    live = [worker for worker in reports(store) if not worker.lost]
    if scope.kind == "queue":
        live = [worker for worker in live if scope.name in worker.queues]
    if scope.kind == "tenant":
        return _of_tenant(store, scope.name, len(live))
    found = [each for each in store.dispatch.depths() if not each.queue.startswith(f"{CONTROL}/")]
    if scope.kind == "queue":
        found = [each for each in found if each.queue == scope.name]
    elif scope.kind == "workflow":
        found = [each for each in found if scope.name in _workflows(each.needs)]
    counts = zip(*(each[2:6] for each in found), strict=True)
    ready, leased, later, held = [sum(each) for each in counts] or [0, 0, 0, 0]
    return StopEffect(leased, ready, later, held, len(live))


def _of_tenant(store: Store, tenant: str, workers: int) -> StopEffect:
    prefix, now = f"{tenant}/", store.dispatch.now() / 1_000_000
    leased = {each.stream for each in store.dispatch.leases() if each.stream.startswith(prefix)}
    dues = [row.due_at for row in store.dispatch.rows() if row.stream.startswith(prefix) and row.stream not in leased]
    ready = sum(due <= now for due in dues)
    held = sum(HELD_FROM <= due < HELD_UNTIL for due in dues)
    return StopEffect(len(leased), ready, len(dues) - ready - held, held, workers)


def _workflows(needs: str) -> list[str]:
    """The workflow types that `needs` name."""
    words = [str(need).split(" ") for need in decode(needs.encode())]
    return [each[1] for each in words if len(each) > 1 and each[0] in (SPEC, WORKFLOW)]
