"""The strings of a plan as one text, and what is encoded in it, layer by layer.

Percent encoding (also overlong UTF-8 and %uXXXX), HTML entities, backslash escapes, base64, hex, full-width characters
and invisible ones. Each round decodes what the one before gave, all strings at once. Every decoding is linear, and how
much is looked at in all is bounded: a plan that hides more is for the caller to refuse.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Final

from .decoders import DECODERS, TOKENS
from .loose import CUT, END, Effort, is_in

FACTOR: Final = 12
"""Strings and their layers may have so many times the strings' characters; ordinary text has two or three times."""
_FREE = 20_000
_ENCODINGS: Final = ("unicode", "percent", "entities", "escapes")
_WRITING: Final = (("form",), ("form", "comments"), ("form", "slashes"), ("digits",))
"""What is undone in turn, but for the tokens; the second are ways of writing rather than encodings."""


class ExcessError(Exception):
    """More is encoded in a string, the `owner`-th, than is looked into."""

    def __init__(self, owner: int):
        super().__init__(owner)
        self.owner = owner


Span = tuple[int, int]
"""A place in a layer, from and up to, of which a piece of another one was made."""


_MARKUP = re.compile(r"</?[a-z]", re.I)


class Piece:
    """One string, or what was decoded from a part of one: a layer's text from `start` up to `end`."""

    def __init__(self, layer: Layer, index: int, start: int, end: int):
        self.start = start
        self.end = end
        self.text = layer.text[start:end]
        parent = layer.parent
        self._before = parent.piece(layer.sources[index][0]) if parent else None
        self.owner: int = self._before.owner if self._before else index
        self.is_hidden: bool = self._before is not None and (self._before.is_hidden or not layer.is_spelling)
        """Whether it was encoded."""
        self._is_inner = self._before is not None and layer.sources[index][0] > self._before.start
        self._last: dict[str, int] = {}

    def last(self, mark: str) -> int:
        """Where in the layer `mark` stands last in this piece; -1 if nowhere."""
        if mark not in self._last:
            place = self.text.rfind(mark)
            self._last[mark] = place + self.start if place >= 0 else -1
        return self._last[mark]

    @cached_property
    def is_bare(self) -> bool:
        """Whether it is a value rather than prose: at most two words, or something that was hidden in an encoding."""
        if len(self.text[:400].split(None, 3)) <= 2 or (self.is_hidden and not _MARKUP.search(self.text)):
            return not self._is_inner or self.is_hidden or self._before is None or self._before.is_bare
        return not self.is_hidden and self._before is not None and self._before.is_bare

    @cached_property
    def head(self) -> str:
        """Its beginning, in lower case, or that of what it is a part of."""
        return self._before.head if self._before and self._is_inner else self.text[:400].lower()


class Layer:
    """Pieces, each between two `END`; those of the layer `parent` they come from; and the `steps` that decoded t"
    "hem."""

    def __init__(
        self, text: str, parent: Layer | None = None, steps: tuple[str, ...] = (), sources: Sequence[Span] = ()
    ):
        # What stands between many blanks is out of the reach of patterns, and means the same with few.
        self.text = _BLANKS.sub(_few, text) if is_in(_MANY_BLANKS, text.encode("latin-1", "replace")) else text
        self.parent = parent
        self.steps = steps
        self.sources = sources
        self.is_spelling = steps in _WRITING
        self.depth: int = parent.depth + (not self.is_spelling) if parent else 0
        self._pieces: dict[int, Piece] = {}

    @cached_property
    def raw(self) -> bytes:
        """The text, a byte a character, for RE2; what Latin-1 does not have is a question mark."""
        return self.text.encode("latin-1", "replace")

    @cached_property
    def data(self) -> bytes:
        """The same in lower case."""
        return self.raw.lower()

    @cached_property
    def lower(self) -> str:
        """The text in lower case, a character for a character."""
        return self.text.replace("\u0130", "I").lower()

    @cached_property
    def _ends(self) -> list[int]:
        return [found.start() for found in re.finditer(END, self.text)]

    @property
    def is_single(self) -> bool:
        """Whether all of it comes from one string."""
        return self.parent.is_single if self.parent else len(self._ends) == 2

    def piece(self, at: int) -> Piece:
        """The piece that holds the character at `at`."""
        return self.pieces(self._index(at))

    def pieces(self, index: int) -> Piece:
        """The piece of this number, from 0."""
        if index not in self._pieces:
            self._pieces[index] = Piece(self, index, self._ends[index] + 1, self._ends[index + 1])
        return self._pieces[index]

    def way(self, at: int) -> tuple[str, ...]:
        """The decodings that led to the piece that holds the character at `at`, outermost first."""
        return self._way(self._index(at))

    def _index(self, at: int) -> int:
        return min(max(bisect_left(self._ends, at), 1), len(self._ends) - 1) - 1

    def _way(self, index: int) -> tuple[str, ...]:
        if self.parent is None:
            return ()
        start, end = self.sources[index]
        text = self.parent.text[start:end]
        steps: list[str] = []
        for step in self.steps:
            decode = DECODERS.get(step)
            decoded = decode(text, _ENDLESS) if decode else ""
            steps += [step] if decoded != text else []
            text = decoded
        return (*self.parent.way(start), *steps)


PROMPT_CHARACTERS: Final = 100_000
"""So much of a plan is searched for what addresses a language model, which has more ways to be said than all attacks
together. It is what warnings are about: what was not searched is told by one more."""


def layers(texts: Sequence[str], max_depth: int, effort: Effort) -> Iterator[Layer]:
    """The `texts` themselves, then what is encoded in them, to `max_depth` rounds. Raises ExcessError, TooMuchEr"
    "ror."""
    joined = END.join(texts)
    if joined.count(END) >= len(texts):
        joined = END.join([text.replace(END, " ") for text in texts])
    waiting = [Layer(f"{END}{joined}{END}")]
    seen = {waiting[0].text}
    room = FACTOR * len(joined) + _FREE
    for layer in waiting:
        room -= len(layer.text)
        if room < 0:
            raise ExcessError(layer.pieces(0).owner)
        yield layer
        for made in _made_of(layer, effort):
            if made.text not in seen:
                if made.depth > max_depth:
                    raise ExcessError(made.pieces(0).owner)
                seen.add(made.text)
                waiting.append(made)


def _made_of(layer: Layer, effort: Effort) -> Iterator[Layer]:
    if layer.is_spelling:
        return
    yield from _changed(layer, _ENCODINGS, effort)
    for step, pattern, decode in TOKENS:
        if is_in(pattern, layer.raw):
            found = [(each[0], each.span()) for each in re.finditer(pattern.encode(), layer.raw)]
            effort.spend(len(found))
            text = END + decode([token for token, _ in found]) + END
            yield Layer(text, layer, (step,), [span for _, span in found])
    for steps in _WRITING:
        yield from _changed(layer, steps, effort)


def _changed(layer: Layer, steps: tuple[str, ...], effort: Effort) -> Iterator[Layer]:
    """The parts of the layer that the steps change, with some text around; nothing if there are none."""
    # A comment ends wherever it ends.
    size = len(layer.text) if "comments" in steps else _BLOCK
    length = PROMPT_CHARACTERS if "digits" in steps else len(layer.text)
    parts: list[str] = []
    sources: list[Span] = []
    for begin in range(0, min(length, len(layer.text)), size):
        low = max(0, begin - _AROUND)
        before = layer.text[low : begin + size + _AROUND]
        after = before
        for step in steps:
            after = DECODERS[step](after, effort)
        if after != before:
            for old, new in zip(before.split(END), after.split(END), strict=True):
                if old != new:
                    parts.append(_part(layer, low, old, new))
                    sources.append((low, low + len(old)))
                low += len(old) + 1
    if parts:
        yield Layer(END + END.join(parts) + END, layer, steps, sources)


def _part(layer: Layer, start: int, old: str, new: str) -> str:
    front = CUT if layer.text[start - 1] != END else ""
    end = start + len(old)
    return front + new + (CUT[::-1] if layer.text[end : end + 1] != END else "")


_BLOCK: Final = 4096
_AROUND: Final = 256
_ENDLESS = Effort(1 << 40)
_MANY_BLANKS = r"[\s\x0b\x85\xa0]{64}"
_BLANKS = re.compile(r"\s{64,}")


def _few(found: re.Match[str]) -> str:
    return "\n" if "\n" in found[0] else " "
