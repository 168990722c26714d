"""A text and what is encoded in it, layer by layer.

Percent encoding (also overlong UTF-8 and %uXXXX), HTML entities, backslash escapes, base64, hex, full-width characters
and invisible ones. Each round decodes what the one before gave. Every decoding is linear and gives no more characters
than it took, and what is looked at in all is bounded: a text that hides more is for the caller to refuse.
"""

from __future__ import annotations

import re
import unicodedata
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

FACTOR: Final = 12
"""A text and its layers may have so many times its characters; ordinary text has two or three times."""
_FREE = 20_000


class Hit(NamedTuple):
    """What a scanner found in a layer: the rule, why it speaks against the text, and where in the layer."""

    rule: str
    why: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Layer:
    """A text, in lower case too, and the decodings that led to it."""

    text: str
    way: tuple[str, ...] = ()
    lower: str = field(init=False)
    is_bare: bool = field(init=False)
    """Whether it is a value rather than prose: at most two words, or something that was hidden in an encoding."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "lower", _lower(self.text))
        hidden = bool(self.way) and self.way[-1] in _HIDING
        object.__setattr__(self, "is_bare", hidden or len(self.text[:400].split(None, 3)) <= 2)


class ExcessError(Exception):
    """More is encoded in a text than is looked into."""


def layers(text: str, max_depth: int) -> Iterator[Layer]:
    """`text` itself, then what is encoded in it, to `max_depth` rounds. Raises ExcessError."""
    seen = {text}
    waiting: list[tuple[str, tuple[str, ...], int]] = [(text, (), 0)]
    room = FACTOR * len(text) + _FREE
    for content, way, depth in waiting:
        room -= len(content)
        if room < 0:
            raise ExcessError
        yield Layer(content, way)
        for step, decoded in _decoded(content):
            if decoded not in seen:
                if depth == max_depth:
                    raise ExcessError
                seen.add(decoded)
                waiting.append((decoded, (*way, *step), depth + 1))


def _lower(text: str) -> str:
    # Where lower case has another length, places in it would not be places in the text.
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


_HIDING = frozenset({"percent", "entities", "escapes", "base64", "hex", "unicode"})


def _decoded(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    if not text.isascii():
        plain = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
        if plain != text and len(plain) <= 2 * len(text):
            yield ("unicode",), plain
    steps: list[str] = []
    result = text
    for name, mark, decode in (("percent", "%", _percent), ("entities", "&", _entities), ("escapes", "\\", _escapes)):
        if mark in result:
            changed = decode(result)
            if changed != result:
                steps.append(name)
                result = changed
    if steps:
        yield tuple(steps), result
    if "+" in text and " " not in text:
        yield ("form",), text.replace("+", " ")
    yield from _tokens(text)


_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e007f]"
)
_PERCENT = re.compile(r"%u[0-9a-fA-F]{4}|(?:%[0-9a-fA-F]{2})+")
_OVERLONG = re.compile(rb"[\xc0\xc1]([\x80-\xbf])|\xe0[\x80-\x9f][\x80-\xbf]|\xc0([\x00-\x7f])", re.S)


def _percent(text: str) -> str:
    return _PERCENT.sub(_percent_run, text)


def _percent_run(match: re.Match[str]) -> str:
    run = match[0]
    if run[1] == "u":
        return chr(int(run[2:], 16))
    data = bytes.fromhex(run.replace("%", ""))
    # A decoder that does not check for the shortest form (RFC 3629, section 10) reads these as ASCII.
    if b"\xc0" in data or b"\xc1" in data or b"\xe0" in data:
        data = _OVERLONG.sub(_shortest, data)
    return data.decode("utf-8", "replace")


def _shortest(match: re.Match[bytes]) -> bytes:
    data = match[0]
    code = data[-1] & 0x3F | (data[-2] & (0x3F if len(data) == 3 else 0x1F)) << 6
    return bytes([data[-1]]) if data[-1] < 0x80 else bytes([code]) if code < 0x80 else data


_ENTITY = re.compile(r"&(?:#0{0,9}([0-9]{1,7})|#[xX]0{0,9}([0-9a-fA-F]{1,6})|([A-Za-z]{2,8})(?=;));?")
_NAMED = {
    "lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'", "sol": "/", "bsol": "\\", "dollar": "$", "lcub": "{",
    "lbrace": "{", "rcub": "}", "rbrace": "}", "lpar": "(", "rpar": ")", "semi": ";", "colon": ":", "vert": "|",
    "verbar": "|", "grave": "`", "percnt": "%", "num": "#", "period": ".", "comma": ",", "excl": "!", "equals": "=",
    "plus": "+", "ast": "*", "lowbar": "_", "nbsp": " ", "tab": "\t", "newline": "\n",
}  # fmt: skip


def _entities(text: str) -> str:
    return _ENTITY.sub(_entity, text)


def _entity(match: re.Match[str]) -> str:
    decimal, hexadecimal, name = match.groups()
    if name:
        return _NAMED.get(name.lower(), match[0])
    return _character(int(decimal) if decimal else int(hexadecimal, 16), match[0])


def _character(code: int, otherwise: str) -> str:
    return chr(code) if 0 < code < 0xD800 or 0xDFFF < code < 0x110000 else otherwise


_ESCAPE = re.compile(r"\\(?:u\{([0-9a-fA-F]{1,6})\}|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([0-3][0-7]{2}))")


def _escapes(text: str) -> str:
    return _ESCAPE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    braced, four, two, octal = match.groups()
    return _character(int(octal, 8) if octal else int(braced or four or two, 16), match[0])


_TOKEN = re.compile(r"[A-Za-z0-9+/_-]{12,}={0,2}")
_MANY = 16


def _tokens(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    found: dict[str, list[str]] = {"hex": [], "base64": []}
    for match in _TOKEN.finditer(text):
        name, decoded = _token(match[0])
        if decoded:
            found[name].append(decoded)
    for name, texts in found.items():
        # A layer for each costs more than its characters, so only the first are looked at one by one.
        for decoded in texts[:_MANY]:
            yield (name,), decoded
        if len(texts) > _MANY:
            yield (name,), "\n".join(texts[_MANY:])


def _token(token: str) -> tuple[str, str]:
    digits = token[2:] if token[:2] in ("0x", "0X") else token
    try:
        decoded = _readable(bytes.fromhex(digits)) if len(digits) % 2 == 0 else ""
        if decoded:
            return "hex", decoded
    except ValueError:
        pass
    if token.isalpha() and token.islower():
        return "base64", ""  # a long word
    body = token.rstrip("=")
    body = body[: len(body) - (len(body) % 4 == 1)]
    try:
        return "base64", _readable(
            (urlsafe_b64decode if "-" in body or "_" in body else b64decode)(body + "=" * (-len(body) % 4))
        )
    except ValueError:
        return "base64", ""


def _readable(data: bytes) -> str:
    """The text that `data` is, as UTF-8 or UTF-16 (which PowerShell encodes); "" if it is none."""
    if len(data) > 3 and not any(data[1:64:2]):
        data = data[::2]
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return ""
    return text if text.replace("\n", "").replace("\r", "").replace("\t", "").isprintable() else ""
