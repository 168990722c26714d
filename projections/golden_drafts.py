"""A golden that is being recorded event by event, from outside of the log."""

from __future__ import annotations

from ..core.canonical import Payload
from ..core.errors import CallError, Problem
from ..core.hashing import workflow_hash
from ..core.paths import order_of
from ..core.seeds import step_seed
from ..core.step_events import StepIndex
from .golden_faults import lines_of
from .golden_lines import SUCCESS, Golden, end_line, slots_of, start_line, step_line

_MOST = 1_000_000
"""A hundred times what a spec may have by default."""


class Draft:
    """What is recorded of a run so far."""

    def __init__(
        self,
        run_id: str,
        tenant: str,
        spec_id: str,
        seed: int,
        replay: bool,
        spec_hash: str | None,
        source_hash: str | None,
        inputs_hash: str | None,
    ):
        self._run_id = run_id
        self._tenant = tenant
        self._spec_id = spec_id
        self._seed = seed
        self._start = start_line(
            run_id,
            tenant,
            spec_id,
            seed,
            replay=replay,
            spec_hash=spec_hash,
            source_hash=source_hash,
            inputs_hash=inputs_hash,
        )
        self._steps: dict[StepIndex, bytes] = {}

    def add_step(
        self,
        index: StepIndex,
        step_id: str,
        skill_id: str,
        seed: int,
        status: str,
        output: Payload | None,
        inputs_hash: str | None,
        error_code: str | None,
    ) -> None:
        """Add an outcome. Raises CallError for an index that has one, another seed than the step's, or no status."""
        reason = None
        if index in self._steps or any(isinstance(index, str) is not isinstance(other, str) for other in self._steps):
            reason = f"index {index!r} is recorded already, or of the other kind"
        elif seed != step_seed(self._seed, index):
            reason = f"the seed of step {step_id!r} is not the one that follows from the run's"
        elif status not in SUCCESS:
            reason = f"no step is {status!r}"
        if reason is not None:
            raise CallError(Problem("", reason, "record each outcome once, as it was"))
        self._steps[index] = step_line(index, step_id, skill_id, seed, status, output, inputs_hash, error_code)

    def end(self, status: str, output: object, error_code: str | None, step_count: int | None, ended_at: int) -> Golden:
        """The golden of a run that ended like this. Raises CallError."""
        steps = sorted(
            self._steps.items(), key=lambda item: order_of(item[0]) if isinstance(item[0], str) else (item[0],)
        )
        lines = [line for _, line in steps]
        hashes: list[tuple[StepIndex, str]] = [
            (index, lines_of(line)[0]["step_hash"]) for (index, _), line in zip(steps, lines, strict=True)
        ]
        last = hashes[-1][0] if hashes else None
        least = last + 1 if isinstance(last, int) else len(hashes)
        slots = least if step_count is None else step_count
        if slots < least or slots > _MOST:
            raise CallError(
                Problem("", f"step_count is {slots}, the steps recorded need {least} or more", "count every step")
            )
        success = status == "completed"
        counted = slots_of(hashes, slots)
        hashed = workflow_hash(
            self._run_id,
            self._spec_id.partition("#")[0],
            self._seed,
            counted,
            success,
            error_code,
        )
        payload = Payload.of(output) if success else None
        end = end_line(status, counted, hashed, output=payload, error_code=error_code)
        return Golden(self._tenant, self._run_id, b"".join([self._start, *lines, end]), ended_at)
