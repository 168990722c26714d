"""Ctrl-C and SIGTERM: what runs is dropped as by a crash, but in good order, so that it can be resumed at once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StoppedError(BaseException):
    """A signal stopped the work. No `Exception`, so that nothing takes it for a failure."""

    def __init__(self, signal_number: int):
        super().__init__(signal_number)
        self.signal = signal_number


class ReaderGoneError(Exception):
    """Whoever read our output has closed it. No OSError: typer would end the process with exit code 1."""


def run_until_stopped(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run the coroutine that `work` makes; the first signal cancels it, a second one ends the process at once.

    Raises StoppedError when a signal came. Nothing recorded is lost either way.
    """
    return asyncio.run(_guarded(work))


async def _guarded(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    loop = asyncio.get_running_loop()
    task = loop.create_task(work())
    received: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        if received:
            os._exit(128 + number)
        received.append(number)
        loop.call_soon_threadsafe(task.cancel)

    # Whoever started us may have set a signal to be ignored (nohup, a background job): that stands.
    caught = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in caught}
    try:
        return await task
    except asyncio.CancelledError:
        if received:
            raise StoppedError(received[0]) from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
