"""Reading server-sent events (WHATWG HTML, section 9.2.6)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from typing import NamedTuple


class Block(NamedTuple):
    """What stands between two empty lines; `retry` is in seconds."""

    event: str
    data: bytes
    retry: float | None


async def blocks_of(chunks: AsyncIterable[bytes]) -> AsyncGenerator[Block]:
    """The blocks that have come whole. Lines end as the standard says, and nowhere else: JSON may hold U+2028."""
    event, retry = "message", None
    data: list[bytes] = []
    async for line in _lines(chunks):
        if line:
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if name == b"data":
                data.append(value)
            elif name == b"event":
                event = value.decode(errors="replace")
            elif name == b"retry" and value.isdigit():
                retry = int(value[:9]) / 1000
        else:
            yield Block(event, b"\n".join(data), retry)
            event, retry, data = "message", None, []


async def _lines(chunks: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    rest: list[bytes] = []
    cut = False  # Whether the last chunk ended with a CR, of which an LF may be a part.
    async for chunk in chunks:
        text = chunk.removeprefix(b"\n") if cut else chunk
        cut = chunk.endswith(b"\r") if chunk else cut
        *lines, last = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            yield b"".join((*rest, line))
            rest = []
        rest.append(last)
