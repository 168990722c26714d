"""Child workflows: an order starts a shipment per warehouse, tries failed ones again, and leaves a message behind.

Try it:

    refold run order --skills examples/gallery/children.py --run-id order-1
    refold list
"""

from __future__ import annotations

from refold import Failure, FailureCatalog, StepFailedError, gather, run_workflow, skill, workflow

STOCK = {"north": ["lamp"], "south": ["chair", "table"], "west": ["rug"]}
"""What is to be fetched where."""


CODES = FailureCatalog()
CODES.register("BELT_JAMMED", "PERMANENT", "The belt of a warehouse is jammed.", suggestion="Send somebody to free it")


@skill(side_effect=True, failures=CODES)
async def pack(warehouse: str, items: list[str], jammed: bool) -> str:
    """Pack the items of one warehouse, whose belt may be jammed."""
    if jammed:
        raise Failure("BELT_JAMMED", f"the belt of {warehouse} is jammed", retryable=False)
    return f"{warehouse}: {', '.join(items)}"


@skill(side_effect=True)
async def mail(customer: str, text: str) -> str:
    """Write to the customer (here: pretend to)."""
    return f"to {customer}: {text}"


@workflow
async def shipment(warehouse: str, items: list[str], jammed: bool = False) -> str:
    """What one warehouse does. A run of its own: with its own log, shown and cancelled by itself."""
    return await pack(warehouse, items, jammed)


@workflow
async def thank(customer: str) -> str:
    """What nobody waits for."""
    return await mail(customer, "thank you")


@workflow
async def order(customer: str = "Ada", tries: int = 3, jams: dict[str, int] | None = None) -> list[str]:
    """Ship everything; `jams` says of warehouses how many tries fail there. Cancelled, it cancels its shipments."""
    failing = jams or {"south": 1}

    async def ship(warehouse: str, items: list[str]) -> str:
        for number in range(1, tries + 1):
            jammed = number <= failing.get(warehouse, 0)
            try:
                # Each try is another call, so another path, so another child: order-1~0.1.0, then order-1~0.1.1.
                return await run_workflow(shipment, {"warehouse": warehouse, "items": items, "jammed": jammed})
            except StepFailedError:
                if number == tries:
                    raise
        raise AssertionError("unreachable")

    shipped = await gather(*(ship(warehouse, items) for warehouse, items in STOCK.items()))
    await run_workflow(thank, {"customer": customer}, detached=True)
    return shipped
