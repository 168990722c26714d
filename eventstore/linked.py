"""The events of a stream, with the proof that they are those that were appended."""

from __future__ import annotations

from ..core.errors import IntegrityError
from ..core.ports import EMPTY, Record
from .chain import event_hash
from .codec import open_envelope
from .store import Store


def linked(store: Store, stream: str) -> list[Record]:
    """The records of `stream`, each of which follows from the one before, and its head from the last.

    For whoever makes of the log what is to be believed, such as a signed file. Raises IntegrityError, StoreError.
    """
    head = store.heads([stream]).get(stream, EMPTY)
    records = store.read(stream, 0, max(head.version, 1))
    version, last = 0, None
    for record in records:
        if (record.version - 1, open_envelope(record).prev) != (version, last):
            raise IntegrityError(f"event {record.version} of {stream} does not follow from the one before it")
        version, last = record.version, event_hash(*record)
    if (version, last) != head:
        raise IntegrityError(f"the head of {stream} does not follow from its last event")
    return records
