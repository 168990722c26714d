"""`refold plan evaluate` and `refold plan simulate`: a verdict on a plan, or on a plan a line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from ...core.documents import parse_document, parse_json
from ...core.errors import DocumentError, Problem
from ...core.policy.document import Policy
from ...core.runtime.policy_file import read_policy
from ...core.simulation.evaluate import unreadable
from ...core.simulation.findings import PlanEvaluation
from ...core.simulation.simulate import Simulation
from ...projections.simulating import Question
from .faults import INVALID, OK, REFUSED
from .origins import Origin
from .output import stdout_for_json_only, write_json
from .plan_lines import plan_lines
from .plan_pictures import tell_evaluation, tell_simulation
from .reading import existing_store, missing_file, read_bytes, read_inputs, read_skills

CODES = {"allowed": OK, "refused": REFUSED, "invalid": INVALID}
"""The exit code of each status."""


class Look(NamedTuple):
    """The options that `evaluate` and `simulate` have in common."""

    origin: Origin
    tenant: str
    queue: str
    inputs: str | None
    skills: Sequence[str]
    database: str | None
    json: bool


def evaluate_plans(file: str, look: Look) -> int:
    """Write what policies and sandbox say of each plan; returns the exit code: the worst."""

    def judged(asked: Question, plan: object) -> PlanEvaluation:
        return asked.examine(plan).evaluation

    return _each(file, look, judged, unreadable, tell_evaluation)


def simulate_plans(file: str, look: Look) -> int:
    """Write what each plan would do; returns the exit code: the worst."""
    return _each(file, look, Question.simulate, _unreadable_simulation, tell_simulation)


def _unreadable_simulation(problems: Sequence[Problem]) -> Simulation:
    return Simulation.of_nothing(unreadable(problems))


def _each(
    file: str,
    look: Look,
    judge: Callable[[Question, object], Any],
    unread: Callable[[Sequence[Problem]], Any],
    tell: Callable[[Any], None],
) -> int:
    codes = {OK}
    with ExitStack() as stack:
        stack.enter_context(stdout_for_json_only(look.json))
        asked = _question(look, stack)
        for plan in _plans(file, look.json):
            found = unread(plan.problems) if isinstance(plan, DocumentError) else judge(asked, plan)
            codes.add(CODES[found.status])
            if look.json:
                write_json(found.to_json())
            else:
                tell(found)
    return max(codes)


def _question(look: Look, stack: ExitStack) -> Question:
    """What is asked; of the database only where there is one."""
    origin = look.origin
    named = look.database or os.environ.get("REFOLD_DATABASE_URL") or missing_file(None) is None
    store = stack.enter_context(existing_store(look.database) if named else nullcontext())
    return Question(
        skills=read_skills(look.skills) if look.skills else None,
        policy=policies_of(origin),
        inputs=read_inputs(look.inputs),
        agent_id=origin.agent,
        tenant=look.tenant,
        source=origin.source,
        queue=look.queue,
        store=store,
    )


def policies_of(origin: Origin) -> list[Policy]:
    """The policies that a run started here would be under: that of REFOLD_POLICY, and the one given."""
    files = [os.environ.get("REFOLD_POLICY"), origin.policy]
    return [read_policy(Path(file)) for file in files if file]


def _plans(file: str, json: bool) -> Iterator[object]:
    """The plans: with `json` and stdin a line each, of which one that cannot be read is a DocumentError."""
    if file == "-" and json:
        for line in plan_lines():
            try:
                yield parse_json(line)
            except DocumentError as error:
                yield error
        return
    try:
        yield parse_document(read_bytes(file, "the plan"), name=file)
    except DocumentError as error:
        error.add_note("stdin" if file == "-" else file)
        raise
