"""Where two goldens differ: line by line of what they say, by JSON pointers."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from ..core.differences import differences
from ..core.divergence import VOLATILE_FIELDS
from ..core.errors import IntegrityError
from .golden_faults import GoldenFault, lines_of

_NEVER_COMPARED = "/replay"


@dataclass(frozen=True, slots=True)
class GoldenDifference:
    """One difference: in which line of either golden (0: it has none), of which event, where, and what each has there.

    `event` is `run_start`, `step INDEX` or `run_end`; `pointer` is an RFC 6901 pointer into the line.
    """

    event: str
    actual_line: int
    expected_line: int
    pointer: str
    actual: str
    expected: str

    def to_json(self) -> dict[str, Any]:
        """The difference as a JSON object of the same names."""
        return asdict(self)


def compare_golden(
    actual: bytes,
    expected: bytes,
    ignore_timestamps: bool = True,
    volatile: Collection[str] = VOLATILE_FIELDS,
) -> list[GoldenDifference]:
    """All differences, in the order of the lines of `actual`, then what only `expected` has; none if they say the same.

    `ignore_timestamps` leaves out the members called as in `volatile`. The replay flag is never a difference. Raises
    IntegrityError, with the line, for what is no golden.
    """
    one, other = _by_event(actual, "the actual golden"), _by_event(expected, "the expected golden")
    left_out = frozenset(volatile) if ignore_timestamps else frozenset[str]()
    found: list[GoldenDifference] = []
    for event in {**one, **other}:
        found.extend(_differences(event, one.get(event), other.get(event), left_out))
    return found


_Line = tuple[int, dict[str, Any]]


def _differences(
    event: str, one: _Line | None, other: _Line | None, left_out: Collection[str]
) -> Iterator[GoldenDifference]:
    if one is None or other is None:
        have, have_not = "it is there", "nothing"
        sides = (have_not, have) if one is None else (have, have_not)
        yield GoldenDifference(event, one[0] if one else 0, other[0] if other else 0, "", *sides)
        return
    for pointer, actual, expected in differences(one[1], other[1]):
        volatile = any(part.replace("~1", "/").replace("~0", "~") in left_out for part in pointer.split("/")[1:])
        if not volatile and pointer != _NEVER_COMPARED:
            yield GoldenDifference(event, one[0], other[0], pointer, actual, expected)


def _by_event(data: bytes, what: str) -> dict[str, _Line]:
    try:
        lines = lines_of(data)
    except GoldenFault as fault:
        raise IntegrityError(f"{what}: {fault}") from None
    found: dict[str, _Line] = {}
    for number, line in enumerate(lines, 1):
        event = line.get("event")
        name = f"step {line.get('index')}" if event == "step" else str(event)
        if name in found:
            raise IntegrityError(f"{what}: line {number}: order: there is {name} already, in line {found[name][0]}")
        found[name] = number, line
    return found
