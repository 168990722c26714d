"""A week of a shop in a log: orders, an agent's plan, a scientific workflow, failures of several kinds, decisions."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from refold import SkillRegistry, WorkflowEngine, open_store
from refold.core.emergency import Scope
from refold.core.policy.document import Policy
from refold.tests.browser.processes import PATIENCE_SECONDS, SKILLS, Service, eventually, service, start_run

Step = dict[str, Any]


def order(number: int, *, code: str = "", pieces: int = 2, stock: int = 100, answers_after: int = 1) -> dict[str, Any]:
    """The spec of an order."""
    lines = {"lamp": pieces, "desk": 1, "chair": 4}
    reserved = [f"reserve_{item}" for item in lines]
    return {
        "workflow_type": "order",
        "version": "4",
        "inputs": {"order": number, "customer": "Ines Ferreira", "items": lines},
        "steps": [
            {"step_id": "check_order", "skill_id": "work", "inputs": {"order": "${inputs.order}", "items": 3}},
            {
                "step_id": "check_fraud",
                "skill_id": "work",
                "inputs": {"seconds": 0.35, "customer": "${inputs.customer}"},
            },
            *(
                {
                    "step_id": f"reserve_{item}",
                    "skill_id": "reserve",
                    "inputs": {"item": item, "pieces": f"${{inputs.items.{item}}}", "stock": stock},
                    "depends_on": ["check_order"],
                }
                for item in lines
            ),
            {
                "step_id": "price",
                "skill_id": "work",
                "inputs": {"seconds": 0.1, "cents": 48_900, "currency": "EUR"},
                "depends_on": reserved,
            },
            {
                "step_id": "charge_card",
                "skill_id": "charge",
                "inputs": {"cents": "${price.cents}", "code": code},
                "idempotency_key": "order-${inputs.order}",
                "depends_on": ["check_fraud"],
            },
            {
                "step_id": "book_pickup",
                "skill_id": "carrier",
                "inputs": {"answers_after": answers_after},
                "idempotency_key": "pickup-${inputs.order}",
                "depends_on": ["charge_card"],
                "max_retries": 3,
                "retry": {"initial_seconds": 0.25},
            },
            {"step_id": "print_label", "skill_id": "work", "inputs": {"tracking": "${book_pickup.tracking}"}},
            {
                "step_id": "tell_customer",
                "skill_id": "work",
                "inputs": {"receipt": "${charge_card.receipt}", "pickup": "${book_pickup.pickup}"},
            },
            {
                "step_id": "close",
                "skill_id": "hash",
                "inputs": {"label": "${print_label}", "told": "${tell_customer}"},
            },
        ],
        "output": {
            "order": "${inputs.order}",
            "tracking": "${book_pickup.tracking}",
            "receipt": "${charge_card.receipt}",
        },
    }


def montage() -> dict[str, Any]:
    """The spec of a mosaic of sky images, in the form of WfCommons' Montage."""

    def step(step_id: str, after: list[str], seconds: float = 0.05) -> Step:
        inputs: dict[str, Any] = {"seconds": seconds, "task": step_id}
        return {"step_id": step_id, "skill_id": step_id.partition("_")[0], "inputs": inputs, "depends_on": after}

    images = [f"mProject_{n:02d}" for n in range(1, 9)]
    pairs = [(n, n + 1) for n in range(7)] + [(n, n + 2) for n in range(6)]
    fits = [step(f"mDiffFit_{n:02d}", [images[a], images[b]], 0.04) for n, (a, b) in enumerate(pairs, 1)]
    corrected = [step(f"mBackground_{n:02d}", ["mBgModel", image], 0.06) for n, image in enumerate(images, 1)]
    return {
        "workflow_type": "montage",
        "version": "2mass-08d",
        "steps": [
            *(step(name, [], 0.05 + n * 0.02) for n, name in enumerate(images)),
            *fits,
            step("mConcatFit", [each["step_id"] for each in fits], 0.1),
            step("mBgModel", ["mConcatFit"], 0.25),
            *corrected,
            step("mImgtbl", [each["step_id"] for each in corrected]),
            step("mAdd", ["mImgtbl"], 0.2),
            step("mViewer", ["mAdd"], 0.1),
        ],
    }


def transfer() -> dict[str, Any]:
    """The spec of a run that waits for a signal."""
    ask = {"step_id": "settlement", "skill_id": "wait_signal", "inputs": {"name": "settled"}}
    return {
        "workflow_type": "payout",
        "steps": [ask, {"step_id": "book", "skill_id": "work", "depends_on": ["settlement"]}],
    }


def report(step: float | None = None, run: float | None = None) -> dict[str, Any]:
    """The spec of a report, whose step or which itself is cut off after so many seconds."""
    load: Step = {"step_id": "load", "skill_id": "work", "inputs": {"seconds": 9}}
    spec = {"workflow_type": "report", "steps": [load | ({} if step is None else {"timeout_seconds": step})]}
    return spec | ({} if run is None else {"timeout_seconds": run})


async def fill(database: str) -> None:
    """Fill an empty database; what waits, waits, and no worker is left."""
    skills = SkillRegistry()
    skills.load_module(str(SKILLS))
    with closing(open_store(database)) as store:
        for hours, part in _WEEK:
            async with WorkflowEngine(store, skills, parks=True, patience=2, clock=Earlier(hours)) as engine:
                await part(engine)


@dataclass(frozen=True)
class Earlier:
    """The time of day so many hours ago."""

    hours: float

    def now(self) -> int:
        """See `Clock.now`."""
        return time.time_ns() // 1000 - round(self.hours * 3_600_000_000)


async def _registered(engine: WorkflowEngine) -> None:
    await engine.specs.put(order(0), by="ada.lovelace")
    await engine.specs.put(montage(), by="survey")
    await engine.policies.adopt(Policy.parse({"policy": "house", "version": "3"}), "grace.hopper")
    await engine.run(montage(), "montage-m31", agent_id="survey", seed=8)


async def _last_week(engine: WorkflowEngine) -> None:
    for number in (2031, 2032, 2033):
        await engine.run(order(number), f"order-{number}", agent_id="web-shop", seed=number)
    await engine.run(order(2034, code="CARD_DECLINED"), "order-2034", agent_id="web-shop")
    await engine.run(report(step=0.2), "report-w46", agent_id="night-shift")


async def _a_bad_day(engine: WorkflowEngine) -> None:
    await asyncio.gather(
        engine.run(order(2035, answers_after=9), "order-2035", agent_id="partner-api"),
        engine.run(order(2036, answers_after=9), "order-2036", agent_id="web-shop"),
        engine.run(order(2037, pieces=140), "order-2037", agent_id="web-shop"),
        engine.run(order(2038, answers_after=9), "order-2038", agent_id="partner-api"),
    )


async def _yesterday(engine: WorkflowEngine) -> None:
    await engine.run(report(run=0.3), "report-w47", agent_id="night-shift")
    await engine.run(order(2039, code="CARD_DECLINED"), "order-2039", agent_id="web-shop")
    await engine.run(order(2040, pieces=140), "order-2040", agent_id="web-shop")


async def _stop(engine: WorkflowEngine) -> None:
    await engine.emergency.enable(_PAYOUTS, reason="duplicate payouts reported", by="grace.hopper")


async def _release(engine: WorkflowEngine) -> None:
    await engine.emergency.disable(_PAYOUTS, reason="cause found: 120 was sent twice", by="ada.lovelace")


async def _today(engine: WorkflowEngine) -> None:
    await engine.start(transfer(), "payout-118")
    await engine.start(transfer(), "payout-119")
    await engine.pause("payout-119", "the bank checks it")
    await engine.start(transfer(), "payout-120")
    await engine.cancel("payout-120", "sent twice")


async def _now(engine: WorkflowEngine) -> None:
    await engine.run(order(2041, answers_after=3), "order-2041", agent_id="web-shop", seed=2041)
    await engine.fork("order-2041", changes={"/inputs/items/lamp": 3}, new_id="order-2041-b", here=True)
    await engine.run(order(2042), "order-2042", agent_id="web-shop", seed=2042)
    goal = {"goal": "40 chairs for the new office"}
    await engine.start("procurement", "procurement-chairs", inputs=goal, agent_id="buyer-7")


_PAYOUTS = Scope("workflow", "payout")
_WEEK: tuple[tuple[float, Callable[[WorkflowEngine], Awaitable[None]]], ...] = (
    (151, _registered),
    (126, _last_week),
    (71, _a_bad_day),
    (26, _yesterday),
    (3.6, _today),
    (3.1, _stop),
    (2.4, _release),
    (0, _now),
)
"""What happened how many hours ago."""


@contextmanager
def demo_service(folder: Path) -> Generator[tuple[Service, str]]:
    """The processes of a filled database, and the server's URL, once every page has something to show."""
    with service(folder) as begun:
        # Playwright's event loop is that of this process.
        command = [sys.executable, "-P", "-m", "refold.tests.browser.demo", begun.database]
        subprocess.run(command, check=True, timeout=2 * PATIENCE_SECONDS)
        begun.worker()
        begun.start("projector")
        url = begun.serve()
        with httpx2.Client(base_url=url, timeout=PATIENCE_SECONDS) as api:
            gate = {"step_id": "load_truck", "skill_id": "gate", "inputs": {"name": "truck"}}
            start_run(
                api, "order-2043", [*order(2043)["steps"][:5], gate], agent_id="web-shop", inputs=order(2043)["inputs"]
            )
            begun.await_gate("truck")
            _await_projections(api)
            proved = api.post("/v1/replays", json={"workflow_type": "order"})
            assert proved.status_code in (201, 202), proved.text
            place = f"/v1/replays/{proved.json()['job_id']}"
            eventually(lambda: api.get(place).json()["status"] == "completed", "the replay ends")
        yield begun, url


def _await_projections(api: httpx2.Client) -> None:
    def kept() -> bool:
        told = api.get("/v1/projections").json()["projections"]
        return len(told) > 3 and all(each["lag_events"] == 0 for each in told)

    def asked() -> bool:
        return any(each["run_id"] == "procurement-chairs" for each in api.get("/v1/approvals").json()["approvals"])

    eventually(asked, "people are asked")
    eventually(kept, "the projector has caught up")


if __name__ == "__main__":
    asyncio.run(fill(sys.argv[1]))
