"""How far something is: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from .output import console
from .streams import note

TELL_SECONDS = 5.0
"""How often a line is written where there is no terminal."""

Told = Callable[[int, int], None]
"""Told how far something is: what is done, and of how much."""


@contextmanager
def watched(description: str) -> Generator[Told]:
    """Show on stderr what is told: on a terminal a bar with rate and time left, else a line now and then."""
    screen = console(stderr=True)
    began = last = time.monotonic()
    shown = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[rate]}"),
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    )
    with shown:
        task = shown.add_task(description, total=None, rate="")

        def tell(done: int, of: int) -> None:
            nonlocal last
            now = time.monotonic()
            rate = f"{done / max(now - began, 0.001):,.0f}/s"
            shown.update(task, completed=done, total=of, rate=rate)
            if not screen.is_terminal and now - last > TELL_SECONDS:
                last = now
                note(f"{description}: {done} of {of}, {rate}")

        yield tell
