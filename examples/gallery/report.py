"""A report on a schedule: `daily` sleeps until it is due, starts `report`, and begins again with an empty history.

Try it:

    refold run report --skills examples/gallery/report.py --inputs '{"day": "2026-01-01"}'
    refold run daily --skills examples/gallery/report.py --run-id daily --inputs '{"period": 5, "rounds": 3}'
"""

from __future__ import annotations

from datetime import UTC, datetime

from refold import continue_as_new, now, run_workflow, skill, sleep, workflow


@skill
async def count_orders(day: str) -> int:
    """How many orders came in (here: made up)."""
    return len(day) * 7


@skill(side_effect=True)
async def publish(day: str, text: str) -> str:
    """Publish the report under its day; once more makes no second one."""
    return f"reports/{day}: {text}"


@workflow
async def report(day: str) -> str:
    """One report. It knows nothing of when it is made, so any clock can start it."""
    return await publish(day, f"{await count_orders(day)} orders")


@workflow
async def daily(period: float = 86_400, rounds: int | None = None) -> str:
    """Start a report whenever `period` seconds of the clock are full; for ever, or `rounds` times."""
    passed = now().timestamp() % period
    await sleep(period - passed)
    due = datetime.fromtimestamp(now().timestamp() // period * period, UTC)
    # Detached: a report that fails must not stop the next one. Named by its time: there is one for each.
    await run_workflow(report, {"day": due.isoformat()}, run_id=f"report-{due:%Y%m%dT%H%M%S}", detached=True)
    if rounds != 1:
        continue_as_new(period=period, rounds=None if rounds is None else rounds - 1)
    return f"last report: {due.isoformat()}"
