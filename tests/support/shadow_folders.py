"""Folders of shadow simulations, made without simulating anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from refold.replay.shadow_book import ShadowBook
from refold.replay.shadow_findings import Found
from refold.replay.shadow_summary import summary_of


def book_of(folder: Path, cycles: int = 2) -> ShadowBook:
    """A folder that this process holds, with so many good cycles."""
    book = ShadowBook(folder)
    book.add("session", {"stretch": 1, "resumed": False, "workers": 3, "faults": [], "dropped_bytes": 0})
    for number in range(1, cycles + 1):
        add_cycle(book, number)
    return book


def add_cycle(book: ShadowBook, number: int, *mismatches: str) -> None:
    """Record a cycle, with a mismatch of the run `chain` for each message."""
    found = Found(workflows=3, replays=3, restorations=9, goldens=3)
    for message in mismatches:
        found.miss("proof", "chain", f"cycle-{number:06}", "chain", message)
    fields: dict[str, Any] = {"cycle": number, "stretch": 1, "stretch_seconds": 1.0, "tenant": f"cycle-{number:06}"}
    book.add("cycle", {**fields, "seconds": 1.5, **found.to_json(), "faults": {"kills": 1}, "revived": []})
    book.summarise(summary_of(book.records, "running"))
