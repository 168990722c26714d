"""`refold tabletop`: the exercise, held by a program."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from ...core.checks import Check, overall
from ..scratch import Scratch
from ..tabletop import hold, steps
from .checks_told import tell_checks
from .faults import FAILED, OK
from .progress import watched
from .signals import StoppedError


def tabletop(prometheus: str | None, json: bool) -> int:
    """Do the ten steps and tell them; returns the exit code."""
    wanted, checks = steps(prometheus), list[Check]()
    with ended_by_signals(), watched("tabletop") as tell, Scratch() as drill:
        for check in hold(drill, wanted):
            checks.append(check)
            tell(len(checks), len(wanted))
    tell_checks(checks, json, {"state": overall(checks)})
    return FAILED if overall(checks) == "failed" else OK


@contextmanager
def ended_by_signals() -> Generator[None]:
    """Within, a signal that ends the process takes the processes with it that it has started."""

    def ended(number: int, _frame: FrameType | None) -> NoReturn:
        raise StoppedError(number)

    before = {number: signal.signal(number, ended) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
