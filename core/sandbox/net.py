"""A net that is drawn once over all text: which patterns could match, and in which places.

Each rule is written once, as patterns of Python. RE2 has no look-around and counts badly, but it goes over text in a
single pass, whatever the number of patterns. So from each pattern a looser one is derived that matches wherever the
pattern does; only around its hits is the pattern itself asked. What that costs is counted, and what costs too much is
for the caller to refuse: no text is looked at longer than in proportion to its length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from .layers import Layer, Piece

END: Final = "\x1e"
"""Stands between the pieces of a layer, before the first, and behind the last."""
REACH: Final = 1024
"""No pattern matches more characters, blanks in a row aside, which layers cut short."""
_STEP: Final = 4096
_BEFORE: Final = 420
_AFTER: Final = 420
CUT: Final = "\x02x"
"""Stands where a text was cut, so that this looks like no end of it; turned around at the back."""


class Window(NamedTuple):
    """A place in a piece, in lower case, with what stands around it; cut ends look like no end of a text."""

    text: str
    piece: Piece
    begin: int
    """Where in the layer the first character would be."""


Judge = Callable[[re.Match[str], Window], bool]


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


class Effort:
    """How much work a plan may make. `spend` raises TooMuchError when all is spent."""

    def __init__(self, units: int):
        self.left = units

    def spend(self, units: int) -> None:
        """Takes `units` away: about a microsecond each."""
        self.left -= units
        if self.left < 0:
            raise TooMuchError


class TooMuchError(Exception):
    """A plan makes more work than it may."""


class Net:
    """Some rules, ready to be drawn over layers. It is built at its first use, and keeps nothing of what it sees."""

    def __init__(self, rules: tuple[Rule, ...]):
        self._knots = [(rule, pattern) for rule in rules for pattern in rule.patterns]

    @cached_property
    def _set(self) -> Any:
        made = _re2().Set.SearchSet(_options())
        for _, pattern in self._knots:
            made.Add(loosened(pattern).encode("latin-1"))
        made.Compile()
        return made

    def hits(self, layer: Layer, effort: Effort, is_known: Callable[[Rule, Piece | None], bool]) -> Iterator[Hit]:
        """Where the rules match in `layer`, but for what `is_known`. Raises TooMuchError."""
        data = layer.data
        for begin in range(0, len(data), _STEP):
            chunk = data[begin : begin + _STEP + REACH]
            fired: list[int] = self._set.Match(chunk) or []
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
    for place in _loose(pattern).finditer(chunk):
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


def is_in(pattern: str, data: bytes) -> bool:
    """Whether RE2 finds `pattern`, which is written for it, in `data`."""
    return _plain(pattern).search(data) is not None


@cache
def _plain(pattern: str) -> Any:
    return _re2().compile(pattern.encode("latin-1"), _options())


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


@cache
def _loose(pattern: str) -> Any:
    return _re2().compile(loosened(pattern).encode("latin-1"), _options())


def _re2() -> Any:
    # Loaded at the first plan, not by everybody who imports Refold.
    import re2  # pyright: ignore[reportMissingTypeStubs]

    return re2


def _options() -> Any:
    options = _re2().Options()
    options.encoding = options.Encoding.LATIN1
    options.never_capture = True
    options.log_errors = False
    options.max_mem = 64 << 20
    return options


_PART = re.compile(
    r"(?P<look>\(\?<?[=!])|(?P<group>\(\?P<\w+>|\(\?:|\()|(?P<set>\[\^?\]?(?:\\.|[^\]\\])*\])|(?P<escape>\\x..|\\u....|\\.)|"
    r"(?P<count>\{(?P<least>\d+)(?P<most>,\d*)?\}[+?]?)|(?P<times>[*+?][+?]?)|(?P<other>.)",
    re.S,
)
_CLASSES = {
    r"\w": r"[\w?\x80-\xff]",
    r"\s": r"[\s\x0b\x85\xa0]",
    r"\W": r"[^\w\x1e]",
    r"\S": r"[^\s\x1e]",
    r"\D": r"[^\d\x1e]",
    r"\Z": r"\x1e",
}
_IN_SETS = {r"\w": r"\w?\x80-\xff", r"\s": r"\s\x0b\x85\xa0"}
_OTHER_LETTERS = r"[?\x80-\xff]"
_OTHERS = {"^": r"\x1e", "$": r"\x1e", ".": r"[^\n\x1e]"}


def loosened(pattern: str) -> str:
    """A pattern for RE2 over bytes of Latin-1 that matches wherever `pattern` matches within a piece of a layer."""
    parts: list[str] = []
    at = 0
    while found := _PART.match(pattern, at):
        at = found.end()
        token = found[0]
        match found.lastgroup:
            case "look":
                at = _closing(pattern, at)
            case "group":
                parts.append("(?:")
            case "set":
                parts.append(_loose_set(token))
            case "escape":
                parts.append(_OTHER_LETTERS if token.startswith(r"\u") else _CLASSES.get(token, token))
            case "count" | "least" | "most":
                parts.append(_loose_count(int(found["least"]), found["most"]))
            case "times":
                parts.append(token[0])
            case _:
                parts.append(_OTHERS.get(token, token) if token.isascii() else _OTHER_LETTERS)
    return "".join(parts)


def _closing(pattern: str, at: int) -> int:
    depth = 1
    while depth:
        found = _PART.match(pattern, at)
        if found is None:
            break
        at = found.end()
        depth += (found.lastgroup in ("look", "group")) - (found[0] == ")")
    return at


def _loose_set(token: str) -> str:
    if token.startswith("[^"):
        return "[^" + END.encode("unicode_escape").decode() + token[2:]
    inner = re.sub(r"\\[ws]", lambda found: _IN_SETS[found[0]], token)
    return inner if inner.isascii() else re.sub(r"[^\x00-\x7f]+", r"?\\x80-\\xff", inner)


def _loose_count(least: int, most: str | None) -> str:
    if most is None:
        return f"{{{least}}}"
    if most == ",1":
        return "?" if least == 0 else ""
    return {0: "*", 1: "+"}.get(least, f"{{{least},}}")
