"""What a browser does with a page of the console, as far as tests need it: find the forms, and send them."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import httpx2

from refold.tests.api.client import Api

_EMPTY = {"br", "hr", "img", "input", "link", "meta"}


class _Tags(HTMLParser):
    """All elements of a page, and whether they are closed as they should be."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> at line {self.getpos()[0]}")


def elements(page: str) -> list[tuple[str, dict[str, str | None]]]:
    """The elements of a page with their attributes; fails if they are not nested as they should be."""
    tags = _Tags()
    tags.feed(page)
    assert not tags.faults and not tags.open, (tags.faults, tags.open)
    return tags.elements


def hidden_fields(page: str, action: str) -> dict[str, str]:
    """The hidden fields of the form that posts to `action`."""
    found = re.search(rf'<form method="post" action="{re.escape(action)}">(.*?)</form>', page, re.DOTALL)
    assert found is not None, f"no form posts to {action}"
    fields = [
        attributes for tag, attributes in elements(found[1]) if tag == "input" and attributes.get("type") == "hidden"
    ]
    return {str(field["name"]): str(field["value"]) for field in fields}


def submit(console: Api, page: str, action: str, **fields: Any) -> httpx2.Response:
    """Send the form of the page at the path `page` that posts to `action`, filled in with `fields`."""
    hidden = hidden_fields(console.get(page).text, action)
    return console.client.post(action, data={**hidden, **fields}, headers={"sec-fetch-site": "same-origin"})
