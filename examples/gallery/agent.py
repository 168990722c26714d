"""An agent: a planner chooses tools by name, turn by turn, within a budget; a person approves the dangerous one.

Try it:

    refold run agent --skills examples/gallery/agent.py --run-id agent-1 --inputs '{"goal": "buy a lamp"}'
    refold signal agent-1 approval --payload '{"approved": true}'    # in another terminal
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from refold import (
    Failure,
    FailureCatalog,
    StepContext,
    StepFailedError,
    call,
    set_query,
    skill,
    wait_signal,
    workflow,
)

CODES = FailureCatalog()
CODES.register("NOT_SOLD", "VALIDATION", "Nobody sells such a thing.", suggestion="Ask for something else")
CODES.register("BUDGET_SPENT", "RESOURCE", "The agent has used up its turns.", suggestion="Give it more turns")

TOOLS = {"find_price", "add_tax", "pay"}
"""All that the planner may call: a registry holds more (http_call, file_write) than a model should reach."""
DANGEROUS = {"pay"}
"""Only with a person's approval."""
REMEMBERED = 5
"""So many turns the planner sees: each plan is stored with its inputs, and a log should not grow with their square."""


@dataclass
class Move:
    """What the planner wants: a tool with arguments, or, without a tool, to answer and be done."""

    tool: str = ""
    args: dict[str, Any] = field(default_factory=dict[str, Any])
    answer: str = ""


@dataclass
class Note:
    """A turn that has been taken: the tool and what came of it."""

    tool: str
    result: Any


@skill
async def plan(goal: str, notes: list[Note]) -> Move:
    """Stands where a language model is called; not deterministic, so replays take its answers from the log."""
    known = {note.tool: note.result for note in notes}
    item = goal.rpartition(" ")[2]
    if item == "moon":
        return Move("look_up", {"item": item})  # a tool that there is not: models do that
    if "find_price" not in known:
        return Move("find_price", {"item": item})
    if "add_tax" not in known:
        return Move("add_tax", {"cents": known["find_price"]})
    if "pay" not in known:
        return Move("pay", {"cents": known["add_tax"]})
    return Move(answer=f"{goal}: {known['pay']}")


@skill(deterministic=True, failures=CODES)
async def find_price(item: str) -> int:
    """What an item costs, in cents."""
    prices = {"lamp": 2_500, "chair": 7_900}
    if item not in prices:
        raise Failure("NOT_SOLD", f"nobody sells a {item}", retryable=False)
    return prices[item]


@skill(deterministic=True)
async def add_tax(cents: int) -> int:
    """A price with tax."""
    return cents * 119 // 100


@skill(side_effect=True)
async def pay(cents: int, context: StepContext) -> str:
    """Pay. The key keeps the bank from paying twice when a crash cuts the step off."""
    return f"paid {cents}, {context.idempotency_key}"


@workflow(timeout="7d", failures=CODES)
async def agent(goal: str, turns: int = 8, patience: str = "1d") -> str:
    """Take turns until the planner answers."""
    notes: list[Note] = []
    set_query("notes", lambda: notes)
    for _ in range(turns):
        move = await plan(goal, notes[-REMEMBERED:])
        if not move.tool:
            return move.answer
        notes.append(Note(move.tool, await use(move, patience)))
    raise Failure("BUDGET_SPENT", f"no answer after {turns} turns")


async def use(move: Move, patience: str) -> Any:
    """What came of a move. A mistake is a result like any other: the planner is to see it."""
    if move.tool not in TOOLS:
        return f"there is no tool {move.tool}"
    if move.tool in DANGEROUS and not await approved(patience):
        return "not approved"
    try:
        return await call(move.tool, **move.args)
    except StepFailedError as error:
        return f"{error.step_code}: {error}"


async def approved(patience: str) -> bool:
    """Whether a person says yes in time."""
    try:
        return bool((await wait_signal("approval", timeout=patience))["approved"])
    except TimeoutError:
        return False
