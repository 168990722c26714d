"""What a job has done so far, in a file: one line that says which job it is, and one for each chunk that is done.

Every line is on disk before the job goes on. A line that a crash has cut off is taken away, and its chunk done again.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NoReturn, Self

import orjson

from ..core.errors import CallError, Problem, StoreRefusedError
from ..eventstore.store import Store
from .fleet import ChunkProof, Order, hash_at

_FORMAT = 1


class JobFile:
    """The file of one job, open and locked; a context manager. Raises CallError for a file that cannot be it."""

    def __init__(self, path: Path):
        """Raises StoreRefusedError where another process works on the same job."""
        self._path = path
        try:
            number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            _refuse(f"the job file {path} cannot be opened: {error.strerror}", "name a file in a folder that is there")
        self._file: BinaryIO = open(number, "r+b")  # noqa: SIM115 (closed by __exit__)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise StoreRefusedError(f"another process works on the job in {path}") from None

    def begin(self, order: Order, store: Store) -> Order:
        """The order to go on with: that of the file, or `order` where the file is new, which then holds it.

        Raises CallError where the file is of another query, code or log.
        """
        line = self._file.readline()
        if not line.endswith(b"\n"):  # New, or cut off before anything was done.
            self._file.seek(0)
            self._file.truncate()
            self._append({"refold_job": _FORMAT, "order": order.to_json()})
            return order
        try:
            told: Any = orjson.loads(line)
            known = Order.of_json(told["order"])
            fits = told["refold_job"] == _FORMAT
        except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
            _refuse(f"{self._path} is no job file", "name another file")
        if not fits:
            _refuse(f"the job in {self._path} is of another version of Refold", "begin a new one")
        for name, there, here in _differences(known, replace(order, until=known.until, head=known.head)):
            _refuse(
                f"the job in {self._path} is another one: its {name} is {there}, not {here}",
                "begin a new one with another file, or give what it began with",
            )
        if known.until and hash_at(store, known.until) != known.head:
            _refuse(f"the job in {self._path} is of another log", "choose its database, or another file")
        return known

    def done(self) -> Iterator[ChunkProof]:
        """The chunks that are done, in order; a last line that was cut off is taken away. Raises CallError."""
        expected = 0
        while True:
            at = self._file.tell()
            line = self._file.readline()
            if not line.endswith(b"\n"):
                self._file.seek(at)
                self._file.truncate()
                return
            try:
                proof = ChunkProof.of_json(orjson.loads(line)["chunk"])
                sound = proof.number == expected
            except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
                sound, proof = False, None
            if not sound or proof is None:
                _refuse(f"line {expected + 2} of the job file {self._path} was altered", "begin anew with another file")
            expected += 1
            yield proof

    def add(self, proof: ChunkProof) -> None:
        """Record a chunk, durably."""
        self._append({"chunk": proof.to_json()})

    def _append(self, value: dict[str, Any]) -> None:
        try:
            self._file.write(orjson.dumps(value) + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            _refuse(f"the job file {self._path} cannot be written: {error.strerror}", "make room, and start it again")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _differences(there: Order, here: Order) -> Iterator[tuple[str, str, str]]:
    one, other = there.to_json(), here.to_json()
    for name in one["query"]:
        if one["query"][name] != other["query"][name]:
            yield f"query's {name}", repr(one["query"][name]), repr(other["query"][name])
    for name in ("proofs", "against", "each"):
        if one[name] != other[name]:
            yield name, repr(one[name]), repr(other[name])
    if one["code"] != other["code"]:
        yield "code", _code(one["code"], other["code"]), "the one that is here"


def _code(there: Mapping[str, Any] | None, here: Mapping[str, Any] | None) -> str:
    """What of the code differs, by name."""
    there, here = there or {}, here or {}
    found: list[str] = []
    for kind in ("program", "build"):
        if there.get(kind) != here.get(kind):
            found.append(f"{kind} {there.get(kind)}")
    for kind in ("skills", "workflows"):
        one: dict[str, Any] = there.get(kind) or {}
        other: dict[str, Any] = here.get(kind) or {}
        found += [f"{kind[:-1]} {name}" for name in sorted({*one, *other}) if one.get(name) != other.get(name)]
    return "another one (" + ", ".join(found[:5]) + (" and more)" if len(found) > 5 else ")")


def _refuse(reason: str, fix: str) -> NoReturn:
    raise CallError(Problem("", reason, fix)) from None
