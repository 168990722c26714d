"""Changed code: runs that were begun under the old code go on in the old way, new ones take the new way.

    RELEASE=1 refold run invoice --skills examples/gallery/versioning.py --run-id invoice-1    # end it by Ctrl-C
    RELEASE=2 refold resume invoice-1 --skills examples/gallery/versioning.py                  # parked, and why

Release 2 forgets about runs that are under way: where their history and its code disagree they are parked, unharmed.
`RELEASE=3 refold resume …` goes on with them; `refold signal invoice-1 paid` lets the invoice end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from typing import Any

from refold import patched, skill, wait_signal, workflow


@skill(deterministic=True)
async def total(prices: list[int]) -> int:
    """The sum, in cents."""
    return sum(prices)


@skill(deterministic=True)
async def discount(cents: int) -> int:
    """A tenth off: what release 2 wants to add."""
    return cents * 9 // 10


async def release_1(prices: list[int] | None = None) -> str:
    """As it was."""
    cents = await total(prices or [1_000, 250])
    await wait_signal("paid")
    return f"{cents} paid"


async def release_2(prices: list[int] | None = None) -> str:
    """A step more, in the middle. Runs that wait for `paid` already have something else recorded in its place."""
    cents = await discount(await total(prices or [1_000, 250]))
    await wait_signal("paid")
    return f"{cents} paid"


async def release_3(prices: list[int] | None = None) -> str:
    """The same, but only for runs that come here first with this code."""
    cents = await total(prices or [1_000, 250])
    if patched("discount"):
        cents = await discount(cents)
    await wait_signal("paid")
    return f"{cents} paid"


RELEASES: dict[str, Callable[..., Coroutine[Any, Any, str]]] = {"1": release_1, "2": release_2, "3": release_3}
invoice = workflow("invoice")(RELEASES[os.environ.get("RELEASE", "3")])
"""In a real project there is one function, and git has the others."""
