"""The product under libfaketime: `python -P -m refold.tests.soak.shifted WORDS...` is `refold WORDS...`.

libfaketime 0.9.10 takes the absolute monotonic time that Python's `time.sleep` hands to clock_nanosleep for one of the
shifted clock, and fails with EINVAL. So this process sleeps in another way; its clock is shifted like any other's.
"""

from __future__ import annotations

import runpy
import threading
import time


def _sleep(seconds: float) -> None:
    threading.Event().wait(seconds)


if __name__ == "__main__":
    time.sleep = _sleep
    runpy.run_module("refold", run_name="__main__", alter_sys=True)
