"""The spec registry: workflows known by type and version, as events in each tenant's control stream."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..canonical import Payload
from ..catalog import Catalog, check_unchanged
from ..errors import IntegrityError, OwnershipLostError
from ..events import SpecRegistered
from ..ids import specs_of
from ..plan import plan_of
from ..ports import Append, Clock, Head, Journal, RunLog, Unit
from ..spec import WorkflowSpec
from .admission import MAX_LABEL, check_text

_TRIES = 100
"""How often a stream that grows between two reads is read again."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A registered spec: `at` is when (microseconds since the epoch), `by` who did it ("" when nobody said).

    `latest` says whether it was the last one of its type to be registered, `new` whether this very call did it.
    """

    tenant: str
    workflow_type: str
    version: str
    payload: Payload
    spec_hash: str
    by: str
    at: int
    latest: bool
    new: bool = False

    @property
    def spec(self) -> WorkflowSpec:
        """The spec itself. Raises SpecError if this program no longer takes what was registered."""
        return plan_of(self.payload.data).spec


class SpecRegistry:
    """Registers specs and finds them again. Nothing is served that a newer event could have changed: each call asks
    for the stream's head, and reads what is new."""

    def __init__(self, log: RunLog, journal: Journal, clock: Clock):
        self._log = log
        self._journal = journal
        self._clock = clock
        self._known: dict[str, _Known] = {}

    async def put(self, spec: WorkflowSpec | Mapping[str, Any], by: str = "", tenant: str = "default") -> Registered:
        """Register `spec` under its type and version; the same content again changes nothing.

        The skills need not be known here. Raises SpecError for what cannot run, SpecConflictError when the version is
        registered with another content, CallError, StoreUnreachableError.
        """
        parsed = WorkflowSpec.parse(spec)
        plan_of(parsed.canonical)
        check_text("by", by, MAX_LABEL)
        stream = specs_of(tenant)
        while True:
            catalog, head = await self._read(tenant)
            found = catalog.find(parsed.workflow_type, parsed.version)
            if found is not None:
                check_unchanged(found, parsed)
                return _registered(found, latest=catalog.is_latest(found))
            event = SpecRegistered(
                at=self._clock.now(),
                tenant=tenant,
                workflow_type=parsed.workflow_type,
                version=parsed.version,
                spec=Payload.from_canonical(parsed.canonical),
                spec_hash=parsed.sha256,
                by=by,
            )
            try:
                await self._journal.commit(Unit((Append(stream, head, (event,)),)))
            except OwnershipLostError:
                continue  # Somebody else registered something first, perhaps this very version.
            return _registered(event, latest=True, new=True)

    async def get(self, workflow_type: str, version: str | None = None, tenant: str = "default") -> Registered:
        """The spec of this type and version; without a version, the one registered last. Raises SpecNotFoundError."""
        catalog, _ = await self._read(tenant)
        found = catalog.get(workflow_type, version)
        return _registered(found, latest=catalog.is_latest(found))

    async def list(self, tenant: str = "default") -> Sequence[Registered]:
        """All of the tenant's specs, by type, and each type's in the order in which they were registered."""
        catalog, _ = await self._read(tenant)
        return [_registered(event, latest=catalog.is_latest(event)) for event in catalog]

    async def _read(self, tenant: str) -> _Known:
        stream = specs_of(tenant)
        for _ in range(_TRIES):
            known = self._known.get(tenant)
            head = await asyncio.to_thread(self._log.head, stream)
            if known is not None and known.head == head:
                return known
            if known is not None and known.head.version < head.version:
                catalog, after = known.catalog, known.head.version
            else:
                catalog, after = Catalog(tenant), 0
            events = await asyncio.to_thread(self._log.events, stream, after)
            # Another call may have read the same meanwhile, and added it to the same catalog.
            if after + len(events) != head.version or self._known.get(tenant) is not known:
                continue
            self._known.pop(tenant, None)  # What turns out to be broken half-way is not kept.
            for event in events:
                catalog.take(event)
            self._known[tenant] = known = _Known(catalog, head)
            return known
        raise IntegrityError(f"the events of {stream} do not fit its head: run refold verify --all")


class _Known(NamedTuple):
    """A tenant's specs as they stood at a head of its control stream."""

    catalog: Catalog
    head: Head


def _registered(event: SpecRegistered, *, latest: bool, new: bool = False) -> Registered:
    return Registered(
        tenant=event.tenant,
        workflow_type=event.workflow_type,
        version=event.version,
        payload=event.spec,
        spec_hash=event.spec_hash,
        by=event.by,
        at=event.at,
        latest=latest,
        new=new,
    )
