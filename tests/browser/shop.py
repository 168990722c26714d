"""The skills and workflows of a shop: what the walks through the console run, and what its pictures show."""

from __future__ import annotations

import asyncio
import os
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

from refold import Failure, FailureCatalog, Retry, StepContext, approval, skill, workflow

CODES = FailureCatalog()
CODES.register("CARD_DECLINED", "VALIDATION", "The bank declined the card.", suggestion="Ask for another card.")
CODES.register("OUT_OF_STOCK", "RESOURCE", "The warehouse has too few of an item.", suggestion="Order it again later.")
CODES.register("CARRIER_DOWN", "TRANSIENT", "The carrier does not answer.", suggestion="Try again in some minutes.")


@skill
def gate(name: str) -> dict[str, Any]:
    """Say who waits, and wait until somebody opens the gate: a file in the current folder."""
    Path(f"{name}.waiting").write_text(str(os.getpid()))
    while not Path(f"{name}.open").exists():
        time.sleep(0.01)
    return {"passed": name}


@skill(failures=CODES)
def mendable(name: str) -> dict[str, Any]:
    """Fail until the gate is open."""
    if not Path(f"{name}.open").exists():
        raise Failure("CARD_DECLINED", f"the card of {name} was declined", retryable=False)
    return {"charged": name}


@skill(deterministic=True)
async def work(seconds: float = 0.05, **given: Any) -> dict[str, Any]:
    """Take a while; what comes of it follows from what was given."""
    await asyncio.sleep(seconds)
    made = sha256(repr(sorted(given.items())).encode()).hexdigest()
    return {key: value for key, value in given.items() if not isinstance(value, dict)} | {"checksum": made[:16]}


MONTAGE = ("mProject", "mDiffFit", "mConcatFit", "mBgModel", "mBackground", "mImgtbl", "mAdd", "mViewer")
mProject, mDiffFit, mConcatFit, mBgModel, mBackground, mImgtbl, mAdd, mViewer = (
    skill(name, deterministic=True)(work.function) for name in MONTAGE
)


@skill(side_effect=True, failures=CODES, cost_cents=2.5, retry=Retry(max_attempts=3, initial_seconds=0.2))
async def carrier(context: StepContext, answers_after: int = 1, seconds: float = 0.1) -> dict[str, str]:
    """Book a pickup; the carrier answers from an attempt on."""
    await asyncio.sleep(seconds)
    if context.attempt < answers_after:
        raise Failure("CARRIER_DOWN", "503 from the carrier's booking service", retryable=True)
    return {"pickup": "tomorrow, 9 to 12", "tracking": f"RF{context.seed % 10**9:09d}"}


@skill(side_effect=True, failures=CODES, cost_cents=1.2)
async def charge(cents: int, code: str = "") -> dict[str, Any]:
    """Charge a card, or say why not."""
    await asyncio.sleep(0.08)
    if code:
        raise Failure(
            code, {"CARD_DECLINED": "declined by the bank: 05 do not honour"}.get(code, code), retryable=False
        )
    return {"charged_cents": cents, "receipt": "R-20418"}


@skill(failures=CODES)
async def reserve(item: str, pieces: int, stock: int = 100) -> dict[str, Any]:
    """Reserve pieces of an item."""
    await asyncio.sleep(0.06)
    if pieces > stock:
        raise Failure("OUT_OF_STOCK", f"{pieces} of {item} wanted, {stock} there", retryable=False)
    return {"item": item, "reserved": pieces, "shelf": f"B{len(item)}-{pieces}"}


@skill(cost_cents=0.8)
async def think(goal: str, known: dict[str, Any]) -> dict[str, str]:
    """Stands where a language model is asked."""
    await asyncio.sleep(0.15)
    return {"next": "compare offers" if not known else "order", "because": f"{goal}: {len(known)} offers known"}


@skill(deterministic=True)
async def offer(supplier: str, cents: int) -> dict[str, Any]:
    """What a supplier asks."""
    await asyncio.sleep(0.07)
    return {"supplier": supplier, "cents": cents, "delivery_days": len(supplier)}


@workflow
async def procurement(goal: str) -> dict[str, Any]:
    """An agent's plan: think, ask for offers, think again, and buy once people have agreed."""
    await think(goal, {})
    offers = [await offer("Nordlicht", 118_500), await offer("Kestrel", 124_000), await offer("Ferrum", 99_900)]
    await think(goal, {each["supplier"]: each["cents"] for each in offers})
    best = min(offers, key=lambda each: each["cents"])
    agreed: dict[str, Any] = await approval(
        f"Order 40 chairs from {best['supplier']} for 999.00 €",
        ["ada.lovelace", "grace.hopper", "joan.clarke"],
        quorum=2,
        timeout="3d",
        escalation=[{"after_seconds": 86_400, "to": ["head.of.purchasing"], "note": "nobody has decided for a day"}],
        details={"goal": goal, "offers": offers, "chosen": best["supplier"], "budget_left_cents": 240_000},
    )
    return {"supplier": best["supplier"], "approved_by": agreed["by"]}
