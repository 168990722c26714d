"""A person decides: ask, remind, and give up in the end. The run waits for days and occupies nothing meanwhile.

Try it:

    refold run expense --skills examples/gallery/decision.py --run-id expense-1 --inputs '{"who": "Ada", "cents": 900}'
    refold signal expense-1 decision --payload '{"approved": true, "by": "Grace"}'    # in another terminal
"""

from __future__ import annotations

from typing import Any

from refold import set_attribute, skill, wait_signal, workflow


@skill(side_effect=True)
async def tell(whom: str, text: str) -> str:
    """Send a message (here: pretend to)."""
    return f"to {whom}: {text}"


@workflow
async def expense(who: str, cents: int, remind_after: str = "1d", give_up_after: str = "2d") -> str:
    """Have an expense approved or refused."""
    set_attribute("decision", "open")
    wanted = f"{who} wants {cents / 100:.2f}"
    for text, patience in ((wanted, remind_after), (f"Reminder: {wanted}", give_up_after)):
        await tell("boss", text)
        try:
            decision: dict[str, Any] = await wait_signal("decision", timeout=patience)
        except TimeoutError:
            continue
        outcome = "approved" if decision["approved"] else "refused"
        set_attribute("decision", outcome)
        await tell(who, f"{outcome} by {decision['by']}")
        return outcome
    set_attribute("decision", "expired")
    await tell(who, "nobody decided")
    return "expired"
