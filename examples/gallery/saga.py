"""A saga: book a flight, a hotel and a car; if one cannot be had, or the trip is cancelled, undo all, the last first.

Try it:

    refold run trip --skills examples/gallery/saga.py --run-id trip-1
    refold run trip --skills examples/gallery/saga.py --run-id trip-2 --inputs '{"sold_out": "car"}'
"""

from __future__ import annotations

from asyncio import CancelledError, sleep

from refold import Failure, FailureCatalog, Retry, StepContext, call, skill, workflow

CODES = FailureCatalog()
CODES.register("SOLD_OUT", "PERMANENT", "There is none left.", recovery="give_up")


@skill(side_effect=True, retry=Retry(max_attempts=3), failures=CODES)
async def book(what: str, traveller: str, sold_out: str, context: StepContext) -> str:
    """Book one thing; what the office knows it by is the step's own key, so booking twice is booking once."""
    if what == sold_out:
        raise Failure("SOLD_OUT", f"there is no {what} left", retryable=False)
    await sleep(0.05)
    return f"{what} for {traveller}, {context.idempotency_key}"


@skill(side_effect=True, retry=Retry(max_attempts=10))
async def unbook(what: str, traveller: str) -> str:
    """Undo a booking. One that was never made is no error: nobody may know whether it was."""
    return f"no {what} for {traveller}"


@workflow
async def trip(traveller: str = "Ada", sold_out: str = "") -> list[str]:
    """Have everything, or nothing."""
    begun: list[str] = []
    bookings: list[str] = []
    try:
        for what in ("flight", "hotel", "car"):
            # Before the booking: one that is cut off by a cancel may have been made.
            begun.append(what)
            bookings.append(await call(book, what=what, traveller=traveller, sold_out=sold_out))
    except (Exception, CancelledError):
        for what in reversed(begun):
            await unbook(what, traveller)
        raise
    return bookings
