"""A net that is drawn once over all text: which rules could speak, and in which places.

Each rule is written once, as patterns of Python. The net holds what `loose.py` makes of them; only around its hits is
the pattern itself asked, then the judge. What that costs is counted, and what costs too much is for the caller to
refuse: no text is looked at longer than in proportion to its length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final, NamedTuple

from .layers import Layer, Piece
from .loose import CUT, Effort, loose, loose_set

REACH: Final = 1024
"""No pattern matches more characters, blanks in a row aside, which layers cut short."""
_STEP: Final = 4096
_TOGETHER: Final = 64
_BEFORE: Final = 420
_AFTER: Final = 420


class Window(NamedTuple):
    """A place in a piece, in lower case, with what stands around it; cut ends look like no end of a text."""

    text: str
    piece: Piece
    begin: int
    """Where in the layer the first character would be."""


Judge = Callable[[re.Match[str], Window], bool]
"""Whether what a pattern found speaks against the text."""


@dataclass(frozen=True)
class Rule:
    """What one rule speaks against: patterns over text in lower case, and a judge where patterns do not suffice."""

    name: str
    why: str
    patterns: tuple[str, ...]
    judge: Judge | None = None

    @property
    def family(self) -> str:
        """The part of `name` before the dot."""
        return self.name.partition(".")[0]


class Hit(NamedTuple):
    """A rule that found something, in which piece of the layer, and where in the layer's text."""

    rule: Rule
    piece: Piece
    start: int


class Net:
    """Some rules, ready to be drawn over layers. It is built at its first use, and keeps nothing of what it sees."""

    def __init__(self, rules: tuple[Rule, ...]):
        self._knots = [(rule, pattern) for rule in rules for pattern in rule.patterns]

    @cached_property
    def _sets(self) -> list[tuple[int, Any]]:
        # The automaton of a set grows with the product of its patterns: several small ones are built and read faster.
        return [
            (first, loose_set(pattern for _, pattern in self._knots[first : first + _TOGETHER]))
            for first in range(0, len(self._knots), _TOGETHER)
        ]

    def hits(
        self,
        layer: Layer,
        effort: Effort,
        is_known: Callable[[Rule, Piece | None], bool],
        at_most: int | None = None,
    ) -> Iterator[Hit]:
        """Where the rules match in `layer`, or its first `at_most` bytes, but for what `is_known`. Raises
        TooMuchError."""
        data = layer.data[:at_most]
        for begin in range(0, len(data), _STEP):
            chunk = data[begin : begin + _STEP + REACH]
            fired: list[int] = [first + index for first, each in self._sets for index in each.Match(chunk) or ()]
            for index in fired:
                rule, pattern = self._knots[index]
                if not is_known(rule, None):
                    effort.spend(10)
                    yield from _judged(rule, pattern, chunk, begin, layer, effort, is_known)


def _judged(
    rule: Rule,
    pattern: str,
    chunk: bytes,
    begin: int,
    layer: Layer,
    effort: Effort,
    is_known: Callable[[Rule, Piece | None], bool],
) -> Iterator[Hit]:
    for place in loose(pattern).finditer(chunk):
        start: int
        end: int
        start, end = place.span()
        if start >= _STEP:
            return  # the next chunk begins there
        piece = layer.piece(begin + start + (chunk[start] == 0x1E))
        effort.spend(8 + (end - start) // 16)
        if is_known(rule, piece):
            continue
        at = max(begin + start, piece.start)
        window, offset = _window(layer.lower, at, begin + end, piece)
        if _matches(rule, pattern, Window(window, piece, offset), at - offset, begin + end - offset, effort):
            yield Hit(rule, piece, at)
            if is_known(rule, None):
                return


def _matches(rule: Rule, pattern: str, window: Window, start: int, end: int, effort: Effort) -> bool:
    """Whether the pattern matches from `start` to `end` on, and the judge agrees."""
    compiled = _compiled(pattern)
    found = compiled.search(window.text, start)
    while found and found.start() <= end:
        if rule.judge is None or rule.judge(found, window):
            return True
        effort.spend(20)
        found = compiled.search(window.text, max(found.end(), found.start() + 1))
    return False


def _window(text: str, start: int, end: int, piece: Piece) -> tuple[str, int]:
    """The text around a place in a piece, and where in the layer the window's first character would be."""
    low, high = max(piece.start, start - _BEFORE), min(piece.end, end + _AFTER)
    front = CUT if low > piece.start else ""
    back = CUT[::-1] if high < piece.end else ""
    return front + text[low:high] + back, low - len(front)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
