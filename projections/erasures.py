"""What was erased of a run, for people: when, by whom, and which fields."""

from __future__ import annotations

import re
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from ..core.erasure_events import DataErased
from ..core.erasure_log import ErasureLog
from ..core.ids import ERASURES
from ..core.ports import EMPTY, Head, Record
from ..eventstore.codec import decode, sealed_fields
from ..eventstore.store import Store
from .times import iso


def erasure_of(store: Store, stream: str, head: Head | None = None) -> DataErased | None:
    """The erasure of a run's data; None if there was none. Raises IntegrityError.

    `head` is that of `control/erasures`, for whoever has asked for it.
    """
    head = head or store.heads([ERASURES]).get(ERASURES, EMPTY)
    if not head.version:
        return None
    known = _read.get(store)
    if known is None or known[0] != head:
        records = store.read(ERASURES, 0, head.version)
        known = _read[store] = (head, ErasureLog(decode(record, {}) for record in records))
    return known[1].erased.get(stream)


_read: WeakKeyDictionary[Store, tuple[Head, ErasureLog]] = WeakKeyDictionary()
"""What was read of the erasures of each store up to which head: every look at a run asks for one of them."""


def sensitive_fields(records: Sequence[Record]) -> list[str]:
    """The fields of a run's events that hold sensitive data: `output of event 3`."""
    return [f"{name} of event {record.version}" for record in records for name in sealed_fields(record)]


def told(erased: DataErased, records: Sequence[Record] = ()) -> str:
    """The erasure in a sentence."""
    who = f" by {erased.by}" if erased.by else ""
    why = f" ({erased.reason})" if erased.reason else ""
    fields = sensitive_fields(records)
    what = f": {', '.join(fields[:20])}{f' and {len(fields) - 20} more' if len(fields) > 20 else ''}" if fields else ""
    return f"sensitive data erased on {iso(erased.at)}{who}{why}{what}"


def without_placeholders(text: str, erased: bool) -> str:
    """JSON for people: `[sensitive]` or `[erased]` where placeholders stand."""
    return _PLACEHOLDER.sub("[erased]" if erased else "[sensitive]", text)


_PLACEHOLDER = re.compile(r"""\{["']\$sensitive["']: ?["'][^"'{}]*["']\}""")
