"""People approve: two of three must agree, one may send somebody else, and after a day their boss is asked as well.

Try it:

    refold run purchase --skills examples/gallery/purchase.py --run-id buy-1 --inputs '{"item": "saw", "cents": 90000}'
    refold approvals grant buy-1 --by ada --comment "we need it"    # in another terminal, then as bob
"""

from __future__ import annotations

from typing import Any

from refold import StepFailedError, approval, skill, workflow


@skill(side_effect=True)
async def order(item: str, cents: int, approved_by: list[str]) -> str:
    """Order it (here: pretend to)."""
    return f"{item} for {cents / 100:.2f}, approved by {' and '.join(approved_by)}"


@workflow
async def purchase(item: str, cents: int, patience: str = "7d") -> str:
    """Order something once people have agreed; what costs little needs one of them."""
    try:
        agreed: dict[str, Any] = await approval(
            f"buy {item} for {cents / 100:.2f}",
            ["ada", "bob", "eve"],
            quorum=2 if cents > 50_000 else 1,
            timeout=patience,
            escalation=[{"after_seconds": 86_400, "to": ["grace"], "note": "nobody has decided for a day"}],
            remind_every="8h",
            details={"item": item, "cents": cents},
        )
    except TimeoutError:
        return "nobody decided"
    except StepFailedError as error:
        return f"not bought: {error}"
    return await order(item, cents, agreed["by"])
