"""A trial of thirty days: a reminder before its end, an upgrade by signal at any time, a good-bye when cancelled.

Try it:

    refold run trial --skills examples/gallery/trial.py --run-id trial-ada --inputs '{"customer": "ada@example.org"}'
    refold signal trial-ada upgrade --payload '"yearly"'    # in another terminal; or: refold cancel trial-ada
"""

from __future__ import annotations

from asyncio import CancelledError

from refold import set_attribute, skill, wait_signal, workflow

DAY = 86_400.0
"""Seconds."""


@skill(side_effect=True)
async def send_mail(customer: str, text: str) -> str:
    """Write to the customer (here: pretend to)."""
    return f"to {customer}: {text}"


@workflow
async def trial(customer: str, days: float = 30, notice_days: float = 3) -> str:
    """Return the plan that the customer chose, or "ended"."""
    set_attribute("customer", customer)
    set_attribute("stage", "trial")
    stages = (("Welcome", days - notice_days), ("Your trial ends soon", notice_days))
    try:
        for text, length in stages:
            await send_mail(customer, text)
            try:
                plan: str = await wait_signal("upgrade", timeout=length * DAY)
            except TimeoutError:
                continue
            set_attribute("stage", plan)
            await send_mail(customer, f"You are on the {plan} plan")
            return plan
    except CancelledError:
        # What is awaited here still runs and is recorded; then the run ends as cancelled.
        set_attribute("stage", "cancelled")
        await send_mail(customer, "Good-bye")
        raise
    set_attribute("stage", "ended")
    await send_mail(customer, "Your trial has ended")
    return "ended"
