"""Secrets in what is about to be recorded: found, also in disguise, and masked.

Values are searched for as they are and as programs commonly write them: in JSON, in URLs, in HTML, in hexadecimal, in
base64 (RFC 4648) wherever in a longer text they may have begun. Each of these is a plain text, and plain texts are
found in time linear in what is searched, whatever it holds.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, cast
from urllib.parse import quote, quote_plus

from ..canonical import Payload
from ..secret_marks import MIN_CHARACTERS

_LONG_PART = 8
"""From so many characters on, a line of a secret or a text within one that is JSON counts as a secret itself."""
_MOST_PARTS = 200


class Mask:
    """Masks some secrets."""

    def __init__(self, values: Mapping[str, str]):
        """`values` are the secrets by name."""
        found = [(text, name) for name, value in values.items() for text in disguises(value)]
        # The longest first: what contains another is masked whole.
        found.sort(key=lambda pair: (-len(pair[0]), pair))
        self._texts = [(text, f"[secret {name}]", name) for text, name in found]
        self._in_json = [(_in_json(text), name) for text, name in found]
        # A secret that is JSON may have been read, and come back as a value.
        self._in_json += [(text, name) for text, name in found if text[0] in "{["]

    def text(self, text: str) -> str:
        """`text` with `[secret NAME]` wherever a secret stood."""
        for secret, mask, _ in self._texts:
            if secret in text:
                text = text.replace(secret, mask)
        return text

    def payload(self, payload: Payload) -> Payload:
        """The same for a value: in its texts, its keys and its numbers. The payload itself if no secret is in it."""
        if self.named_in(payload) is None:
            return payload
        masked = Payload.of(self._masked(payload.fresh()))
        # What is spread over several values, such as a secret that is a JSON array, leaves nothing to keep.
        left = self.named_in(masked)
        return masked if left is None else Payload.of(f"[secret {left}]")

    def named_in(self, payload: Payload) -> str | None:
        """The name of a secret that stands in the JSON text of a value; None if none does."""
        text = payload.data.decode()
        return next((name for secret, name in self._in_json if secret in text), None)

    def named_in_text(self, text: str) -> str | None:
        """The same for a text."""
        return next((name for secret, _, name in self._texts if secret in text), None)

    def _masked(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            # Two keys may become one; that both were secrets is all that is left to tell.
            return {self.text(key): self._masked(item) for key, item in cast("dict[str, Any]", value).items()}
        if isinstance(value, list):
            return [self._masked(item) for item in cast("list[Any]", value)]
        if isinstance(value, int | float) and not isinstance(value, bool):
            text = Payload.of(value).data.decode()
            masked = self.text(text)
            return value if masked == text else masked
        return value


@lru_cache(maxsize=256)
def mask_of(values: frozenset[tuple[str, str]]) -> Mask:
    """The mask of these names with their values; making one takes longer than most uses of it."""
    return Mask(dict(values))


@lru_cache(maxsize=256)
def disguises(value: str) -> tuple[str, ...]:
    """The texts that give a secret away."""
    texts: dict[str, None] = {}
    for part in _parts(value):
        texts.update(dict.fromkeys(_forms(part)))
    return tuple(text for text in texts if len(text) >= MIN_CHARACTERS)


def _parts(value: str) -> Iterable[str]:
    """The secret, and what may be taken out of it: the texts in it if it is JSON, and lines of several."""
    yield value
    texts = [value]
    if value.lstrip()[:1] in ("{", "["):
        try:
            document = json.loads(value)
            texts.extend(_leaves(document))
            yield from (json.dumps(document), Payload.of(document).data.decode())
        except (ValueError, RecursionError):
            pass
    lines = (line.strip() for text in texts for line in text.splitlines() if "\n" in text.strip())
    longer = [part for part in (*texts[1:], *lines) if len(part) >= _LONG_PART]
    yield from longer[:_MOST_PARTS]


def _leaves(value: Any) -> Iterable[str]:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            stack.extend(cast("dict[str, Any]", item).values())
        elif isinstance(item, list):
            stack.extend(cast("list[Any]", item))


def _forms(value: str) -> Iterable[str]:
    data = value.encode("utf-8", "surrogatepass")
    yield value
    for ascii_only in (False, True):
        once = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield once
        yield json.dumps(once, ensure_ascii=ascii_only)[1:-1]
    escaped = repr(value)[1:-1]
    # Which quotes Python escapes depends on the whole text around the value.
    for shown in (escaped, repr(value + "'\"")[1:-4], repr(data)[2:-1], repr(data + b"'\"")[2:-4]):
        yield shown
        yield repr(shown)[1:-1]
        yield repr(shown + "'\"")[1:-4]
    yield ascii(value)[1:-1]
    page = html.escape(value)
    yield from (page, html.escape(value, quote=False))
    yield page.replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
    for quoted in (quote(data, safe=""), quote(data), quote_plus(data), quote(data, safe="!'()*~")):
        yield quoted
        yield _lower_percents(quoted)
        yield quoted.replace("%", "%25")
    yield from (data.hex(), data.hex().upper())
    for shift in range(3):
        encoded = _certain_base64(data, shift)
        yield encoded
        yield encoded.translate(_URL_SAFE)


_URL_SAFE = str.maketrans("+/", "-_")


def _certain_base64(data: bytes, shift: int) -> str:
    """The characters that `data` gives in base64 if `shift` bytes (modulo 3) come before it, whatever surrounds it."""
    encoded = base64.b64encode(b"\0" * shift + data).decode()
    return encoded[-(-8 * shift // 6) : 8 * (shift + len(data)) // 6]


def _lower_percents(quoted: str) -> str:
    pieces = quoted.split("%")
    return "%".join([pieces[0], *(piece[:2].lower() + piece[2:] for piece in pieces[1:])])


def _in_json(text: str) -> str:
    """How `text` stands within canonical JSON: as orjson and RFC 8785 write it."""
    return Payload.of(text.encode("utf-8", "replace").decode()).data.decode()[1:-1]
