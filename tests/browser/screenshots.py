"""The pictures of the console in the documentation: `make screenshots` writes docs/images/console-*.png.

Each page is taken in light and dark, 1,280 pixels wide, of a server with the shop's week in its log.
"""

from __future__ import annotations

import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import httpx2
from playwright.sync_api import Page

from refold.tests.browser.demo import demo_service
from refold.tests.browser.watched import chromium, visitor

IMAGES = Path(__file__).parents[2] / "docs/images"
LARGEST_BYTES = 200_000

PAGES = {
    "runs": "/runs",
    "run": "/runs/order-2041",
    "graph": "/runs/montage-m31#graph",
    "failed": "/runs/order-2038",
    "approvals": "/approvals",
    "diff": "/diff?a=order-2041&b=order-2041-b",
    "failures": "/failures",
    "replay": "/replays/JOB",
    "emergency": "/emergency-stop/confirm?scope=workflow&name=payout&running=finish&reason=duplicate+payouts",
    "control": "/audit/control",
}
"""The pages by the names of their pictures. JOB is a replay that has ended."""

_HEIGHTS = {"run": 1060, "replay": 660, "emergency": 640}


def take(folder: Path) -> None:
    """Take all of them into `folder`."""
    with tempfile.TemporaryDirectory() as place, demo_service(Path(place)) as (_, url), chromium() as browser:
        job = httpx2.get(f"{url}/v1/replays").json()["jobs"][0]["job_id"]
        for scheme in ("light", "dark"):
            with visitor(browser, url, color_scheme=scheme) as page:
                for name, path in PAGES.items():
                    page.set_viewport_size({"width": 1280, "height": _HEIGHTS.get(name, 860)})
                    file = folder / f"console-{name}-{scheme}.png"
                    file.write_bytes(_taken(page, path.replace("JOB", job)))


def _taken(page: Page, path: str) -> bytes:
    page.goto(path)
    data = smaller(page.screenshot(animations="disabled"))
    assert len(data) < LARGEST_BYTES, f"{path}: {len(data)} bytes"
    return data


def smaller(png: bytes) -> bytes:
    """The same picture, its data compressed as far as zlib can, without what is beside the picture."""
    kept = [(kind, body) for kind, body in _chunks(png) if kind in (b"IHDR", b"PLTE", b"IDAT")]
    data = zlib.decompress(b"".join(body for kind, body in kept if kind == b"IDAT"))
    chunks = [*(each for each in kept if each[0] != b"IDAT"), (b"IDAT", zlib.compress(data, 9)), (b"IEND", b"")]
    made = png[:8]
    for kind, body in chunks:
        made += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return made


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += length + 12


if __name__ == "__main__":
    take(IMAGES)
