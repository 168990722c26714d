"""Units of commit made by hand: what the tests of the stores append."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from refold.core.canonical import Payload
from refold.core.events import Event, MessageSent, RunStarted
from refold.core.ports import EMPTY, Append, Head, LedgerChange, Schedule, Unit, Unschedule
from refold.eventstore.sealing import SealedUnit, Sealer
from refold.eventstore.store import Store

SPEC = {"workflow_type": "made-by-hand", "version": "1", "steps": [{"step_id": "a", "skill_id": "echo"}]}


def started(run_id: str, tenant: str = "default", inputs: Any = None) -> RunStarted:
    """The first event of a run."""
    return RunStarted(
        at=1_700_000_000_000_000,
        run_id=run_id,
        tenant=tenant,
        workflow_type="made-by-hand",
        workflow_version="1",
        spec=Payload.of(SPEC),
        inputs=Payload.of(inputs if inputs is not None else {}),
        seed=7,
        agent_id=None,
        semantics=1,
        queue="default",
        priority=0,
        source=None,
        timeout_seconds=None,
        parent=None,
        awaited=None,
        continues=None,
    )


def said(text: str = "") -> MessageSent:
    """An event that is good in any stream and carries `text`."""
    return MessageSent(1_700_000_000_000_001, "pause", "key", text, "", Payload.of(None))


class Writer:
    """One writer, as an engine is: it seals units with nonces of its own, and remembers the heads it was given."""

    def __init__(self, name: str = "writer"):
        self._sealer = Sealer("build under test", name)
        self.heads: dict[str, Head] = {}

    def unit(
        self,
        *appends: tuple[str, Sequence[Event]],
        dispatch: Sequence[Schedule | Unschedule] = (),
        ledger: Sequence[LedgerChange] = (),
    ) -> SealedUnit:
        """Events for streams, each built on the head that this writer believes in; it believes in its own at once."""
        made = [Append(stream, self.heads.get(stream, EMPTY), events) for stream, events in appends]
        sealed = self._sealer.seal(Unit(made, dispatch, ledger))
        for append in sealed.appends:
            self.heads[append.stream] = append.head
        return sealed

    def one(self, stream: str, text: str = "") -> SealedUnit:
        """A single event."""
        return self.unit((stream, [said(text)]))

    def run(self, run_id: str, tenant: str = "default", lease_seconds: float = 0) -> SealedUnit:
        """A run that begins, with its dispatch row."""
        stream = f"{tenant}/{run_id}"
        return self.unit((stream, [started(run_id, tenant)]), dispatch=[Schedule(stream, lease_seconds)])


def contents(store: Store) -> dict[str, Any]:
    """All that a store holds, as far as its contract shows it: to be compared before and after."""
    notifications = store.follow(0, 1_000_000)
    streams = sorted({each.record.stream for each in notifications})
    return {
        "log": notifications,
        "heads": store.heads([*streams, "default/nobody"]),
        "ledger": (store.ledger.accounts(), store.ledger.holds()),
        "owners": [(row.stream, row.owner) for stream in streams if (row := store.dispatch.lease(stream))],
    }
