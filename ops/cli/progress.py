"""How far something is: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
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
    shown = _bar(screen)
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


ToldRuns = Callable[[int, int, int, int], None]
"""Told that work has come to a position of the log, of the last one, and that so many runs and events more are done."""


@contextmanager
def watched_runs(description: str) -> Generator[ToldRuns]:
    """As `watched`, for work that goes through the log run by run; the rates are of what is done, not of positions."""
    screen = console(stderr=True)
    began = last = time.monotonic()
    runs = events = 0
    shown = _bar(screen)
    with shown:
        task = shown.add_task(description, total=None, rate="")

        def tell(position: int, until: int, more_runs: int, more_events: int) -> None:
            nonlocal last, runs, events
            runs, events, now = runs + more_runs, events + more_events, time.monotonic()
            passed, done = max(now - began, 0.001), position / max(until, 1)
            rate = f"{runs:,} runs, {runs / passed:,.0f} runs/s, {events / passed:,.0f} events/s"
            shown.update(task, completed=position, total=until, rate=rate)
            if not screen.is_terminal and now - last > TELL_SECONDS:
                last = now
                left = f", {passed / done * (1 - done):,.0f} s left" if 0 < done < 1 else ""
                note(f"{description}: {done:.0%}, {rate}{left}")

        yield tell


def _bar(screen: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[rate]}"),
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    )
