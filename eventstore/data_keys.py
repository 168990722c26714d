"""Data keys: one for each run that holds sensitive data, beside the log and never in it.

A run's key is wrapped by a master key (`master_keys.py`). To destroy it is to erase what it encrypted, wherever copies
of the log may be. The row stays, without the key, so that nobody makes another.
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable
from threading import RLock
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ..core.errors import DataKeyError
from .data_key_rows import DataKeyRow, DataKeyTable
from .master_keys import KEY_BYTES, NONCE_BYTES, MasterKeys


class DataKeys:
    """Encrypts and decrypts what events hold, with the keys of their runs. Fulfils `codec.Cipher`
    and `refold.core.ports.DataKeyring`.

    `masters` gives the master keys, None where none are configured; it is asked when they are first needed.
    """

    def __init__(self, table: DataKeyTable, masters: Callable[[], MasterKeys | None]):
        self.table = table
        self._masters = masters
        self._known: dict[str, tuple[bytes, float]] = {}
        self._lock = RLock()

    def masters(self) -> MasterKeys:
        """The master keys. Raises DataKeyError where there are none."""
        masters = self._masters()
        if masters is None:
            raise DataKeyError(
                "there is sensitive data, and no key to encrypt it with: "
                "make a file of keys with refold data-keys rotate, and name it by REFOLD_DATA_KEYS"
            )
        return masters

    def ensure(self, stream: str, parent: str | None = None, subject: str | None = None) -> bytes | None:
        """The data key of a run, made if there is none; None if it was destroyed. Raises DataKeyError."""
        with self._lock:
            known = self._recent(stream)
            if known is not None:
                return known
            masters = self.masters()
            row = self.table.get(stream) or self._made(masters, stream, parent, subject)
            masters = self.masters()
            if row is None or row.wrapped is None:
                return None
            key = masters.unwrap(row.key_id, row.wrapped, stream)
            if key is None:
                raise DataKeyError(f"the master key {row.key_id!r}, which wraps the key of {stream}, is not here")
            self._remember(stream, key)
            return key

    def _made(self, masters: MasterKeys, stream: str, parent: str | None, subject: str | None) -> DataKeyRow | None:
        """The row of a run that had none, with a new key, or with none if its parent's is destroyed."""
        above = None if parent is None else self.table.get(parent)
        about = above.subject if above is not None and subject is None else subject
        key = os.urandom(KEY_BYTES)
        key_id, wrapped = masters.wrap(key, stream)
        self.table.add(DataKeyRow(stream, parent, about, key_id, wrapped, time.time_ns() // 1000))
        row = self.table.get(stream)
        # Whoever erased the parent or rotated the master key in between had not seen this row.
        if parent is not None and (above := self.table.get(parent)) is not None and above.wrapped is None:
            self.table.destroy(stream)
        elif row is not None and row.wrapped == wrapped and (now := self.masters()).current != key_id:
            self.table.rewrap(stream, *now.wrap(key, stream))
        else:
            return row
        return self.table.get(stream)

    def subject(self, tenant: str, text: str) -> str:
        """See `DataKeyring.subject`."""
        return self.masters().subject(tenant, text)

    def of_subject(self, subject: str) -> list[str]:
        """See `DataKeyring.of_subject`."""
        return self.table.of_subject(subject)

    def family(self, stream: str) -> list[str]:
        """See `DataKeyring.family`."""
        found: dict[str, None] = {}
        todo = [stream] if self.table.get(stream) is not None else []
        while todo:
            each = todo.pop()
            if each not in found:
                found[each] = None
                todo += self.table.children(each)
        return list(found)

    def destroy(self, stream: str) -> bool:
        """See `DataKeyring.destroy`."""
        with self._lock:
            self._known.pop(stream, None)
            return self.table.destroy(stream)

    def is_destroyed(self, stream: str) -> bool:
        """See `DataKeyring.is_destroyed`."""
        with self._lock:
            if self._recent(stream) is not None or self._key(stream) is not None:
                return False
            row = self.table.get(stream)
            return row is not None and row.wrapped is None

    def check(self, stream: str) -> None:
        """See `DataKeyring.check`."""
        with self._lock:
            if self.table.get(stream) is not None:
                self.ensure(stream)

    def rewrap(self) -> int:
        """Wrap all keys with the current master key; how many were wrapped by another. Raises DataKeyError."""
        masters, count, after = self.masters(), 0, ""
        while page := self.table.rows(after, 500):
            after = page[-1].stream
            for row in page:
                if row.wrapped is None or row.key_id == masters.current:
                    continue
                key = masters.unwrap(row.key_id, row.wrapped, row.stream)
                if key is None:
                    raise DataKeyError(
                        f"the master key {row.key_id!r}, which wraps the key of {row.stream}, is not here"
                    )
                self.table.rewrap(row.stream, *masters.wrap(key, row.stream))
                count += 1
        return count

    def encrypt(self, place: str, stream: str, plain: bytes, parent: str | None) -> dict[str, Any] | None:
        """See `codec.Cipher.encrypt`."""
        key = self.ensure(stream, parent)
        if key is None:
            return None
        nonce = os.urandom(NONCE_BYTES)
        data = AESGCM(key).encrypt(nonce, plain, place.encode())
        return {"data": base64.b64encode(data).decode(), "nonce": base64.b64encode(nonce).decode()}

    def decrypt(self, place: str, stream: str, sealed: dict[str, Any]) -> bytes | None:
        """See `codec.Cipher.decrypt`."""
        key = self._key(stream)
        if key is None:
            return None
        try:
            nonce, data = base64.b64decode(sealed["nonce"]), base64.b64decode(sealed["data"])
            return AESGCM(key).decrypt(nonce, data, place.encode())
        except (InvalidTag, KeyError, ValueError, TypeError):
            return None

    def _key(self, stream: str) -> bytes | None:
        with self._lock:
            known = self._recent(stream)
            if known is not None:
                return known
            masters = self._masters()
            row = self.table.get(stream)
            if masters is None or row is None or row.wrapped is None:
                return None
            key = masters.unwrap(row.key_id, row.wrapped, stream)
            if key is not None:
                self._remember(stream, key)
            return key

    def _recent(self, stream: str) -> bytes | None:
        key, since = self._known.get(stream, (None, 0.0))
        return key if time.monotonic() - since < KEPT_SECONDS else None

    def _remember(self, stream: str, key: bytes) -> None:
        self._known.pop(stream, None)
        self._known[stream] = key, time.monotonic()
        while len(self._known) > _MOST_KNOWN:
            del self._known[next(iter(self._known))]


KEPT_SECONDS = 5.0
"""For how long a key is used without a look at whether it was destroyed meanwhile."""

_MOST_KNOWN = 10_000
