"""Patterns for RE2, which goes over text in a single pass, whatever the number of patterns; and what work may cost.

RE2 has no look-around and counts badly. So from each pattern of Python a looser one is derived that matches wherever
the pattern does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

END: Final = "\x1e"
"""Stands between the pieces of a layer, before the first, and behind the last."""
CUT: Final = "\x02x"
"""Stands where a text was cut, so that this looks like no end of it; turned around at the back."""


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


def is_in(pattern: str, data: bytes) -> bool:
    """Whether RE2 finds `pattern`, which is written for it, in `data`."""
    return _plain(pattern).search(data) is not None


@cache
def _plain(pattern: str) -> Any:
    return _re2().compile(pattern.encode("latin-1"), _options())


@cache
def loose(pattern: str) -> Any:
    """The loosened pattern of RE2, compiled once."""
    return _re2().compile(loosened(pattern).encode("latin-1"), _options())


def loose_set(patterns: Iterable[str]) -> Any:
    """All of the loosened patterns as one set of RE2, whose `Match` gives the numbers of those that match."""
    made = _re2().Set.SearchSet(_options())
    for pattern in patterns:
        made.Add(loosened(pattern).encode("latin-1"))
    made.Compile()
    return made


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
