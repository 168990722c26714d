"""Ctrl-C and SIGTERM: what runs is dropped as by a crash, but in good order, so that it can be resumed at once."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

from ...core.errors import RefoldError
from .streams import note

T = TypeVar("T")

_POOL = "refold-io"
"""How the threads of the loop's pool are named."""

_MOMENT_SECONDS = 2
"""For how long what was told to end is waited for."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StoppedError(BaseException):
    """A signal stopped the work. No `Exception`, so that nothing takes it for a failure."""

    def __init__(self, signal_number: int):
        super().__init__(signal_number)
        self.signal = signal_number


class CutOffError(RefoldError):
    """Not a signal, but something within has cancelled the work or wanted to end the process: a skill, most likely."""


stragglers: list[asyncio.Task[Any] | threading.Thread] = []
"""What would not end when it was told to. Whoever leaves the process must not wait for it."""


def run_until_stopped(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run the coroutine that `work` makes; the first signal cancels it, a second one ends the process at once.

    Raises StoppedError when a signal came, and CutOffError when something within cancelled the work or wanted to end
    the process. Nothing recorded is lost in any case.
    """
    return _run(_guarded(work))


def run_until_drained(
    work: Callable[[], Coroutine[Any, Any, None]], drain: Callable[[], None], begun: Callable[[], None]
) -> None:
    """Run the coroutine that `work` makes to its end; the first signal calls `drain`, which asks it to end, and a
    second one ends the process at once. `begun` is called when signals are already heeded. Raises CutOffError as
    `run_until_stopped` does."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with _first_signal(lambda _number: loop.call_soon_threadsafe(drain)):
            begun()
            await work()

    _run(main())


@contextmanager
def stopping() -> Generator[None]:
    """Within, work on this thread is stopped by the first signal: StoppedError is raised wherever it is just then."""

    def stop(number: int) -> None:
        raise StoppedError(number)

    with _first_signal(stop):
        yield


def _run(main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, but tasks and threads that do not end are waited for only a moment, then left behind."""
    pool = ThreadPoolExecutor(thread_name_prefix=_POOL)
    loop = asyncio.new_event_loop()
    loop.set_default_executor(pool)
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main)
    except (asyncio.CancelledError, KeyboardInterrupt, SystemExit) as error:
        told = f"the work was cut off from within ({type(error).__name__}); what was recorded is kept"
        raise CutOffError(told) from error
    finally:
        try:
            loop.run_until_complete(_wind_up())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            asyncio.set_event_loop(None)
            _note_stragglers(loop)
            if not stragglers:
                loop.close()


async def _wind_up() -> None:
    """Cancel all that is left and give it a moment to end."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    left.add(asyncio.create_task(asyncio.get_running_loop().shutdown_asyncgens()))
    ended, _ = await asyncio.wait(left, timeout=_MOMENT_SECONDS)
    for task in ended:
        if not task.cancelled():
            task.exception()  # It was given up: how it took that interests nobody.


def _note_stragglers(loop: asyncio.AbstractEventLoop) -> None:
    until = time.monotonic() + _MOMENT_SECONDS
    stragglers.extend(asyncio.all_tasks(loop))
    for thread in threading.enumerate():
        if thread.name.startswith(_POOL):
            thread.join(max(until - time.monotonic(), 0))
            if thread.is_alive():
                stragglers.append(thread)
    if stragglers:
        names = ", ".join(sorted({_name(each) for each in stragglers}))
        note(f"note: still alive, and left behind: {names}")


def _name(straggler: asyncio.Task[Any] | threading.Thread) -> str:
    """What it does, as far as that can be told: the innermost function of ours or of a skill that waits."""
    if isinstance(straggler, threading.Thread):
        return f"thread {straggler.name}"
    waits = straggler.get_coro()
    while (inner := getattr(waits, "cr_await", None)) is not None and hasattr(inner, "cr_code"):
        if inner.cr_code.co_filename == asyncio.tasks.__file__:
            break
        waits = inner
    return f"task {getattr(waits, '__qualname__', straggler.get_name())}"


async def _guarded(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    loop = asyncio.get_running_loop()
    task = loop.create_task(work())
    received: list[int] = []

    def stop(number: int) -> None:
        received.append(number)
        loop.call_soon_threadsafe(task.cancel)

    try:
        with _first_signal(stop):
            return await task
    except asyncio.CancelledError:
        if received:
            raise StoppedError(received[0]) from None
        raise


@contextmanager
def _first_signal(react: Callable[[int], object]) -> Generator[None]:
    """Within, the first signal is handed to `react`, and a second one ends the process at once."""
    received: list[int] = []

    def heed(number: int, _frame: FrameType | None) -> None:
        if received:
            os._exit(128 + number)
        received.append(number)
        react(number)

    # Whoever started us may have set a signal to be ignored (nohup, a background job): that stands.
    caught = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, heed) for number in caught}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
