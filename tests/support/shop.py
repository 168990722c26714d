"""A workflow as a program has it whose runs are started by clients: with types, a query, a signal, and ways to fail."""

from __future__ import annotations

from dataclasses import dataclass

from refold import continue_as_new, set_attribute, set_query, skill, wait_signal, workflow


@dataclass(frozen=True)
class Receipt:
    """What an order comes to."""

    item: str
    by: str


@skill
async def reserve(item: str) -> str:
    """Refuses what there is not."""
    if item == "unicorn":
        raise ValueError("there are none")
    return f"one {item}"


@workflow("shop_order", version="3")
async def order(item: str, approvals: int = 0) -> Receipt:
    """Reserve, and wait for as many approvals as are asked for."""
    set_attribute("item", item)
    by = "nobody"
    seen = 0
    set_query("approvals", lambda plus=0: {"seen": seen, "of": approvals, "sum": seen + plus})
    reserved = await reserve(item)
    while seen < approvals:
        by = await wait_signal("approved")
        seen += 1
    return Receipt(reserved, by)


@workflow
async def countdown(start: int) -> int:
    """Continued by new runs until nothing is left."""
    if start > 0:
        continue_as_new(start=start - 1)
    return start
