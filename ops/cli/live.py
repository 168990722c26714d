"""What is seen of a run while it runs: JSON lines, a progress bar, or plain lines."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, fields
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ...core.canonical import Payload
from ...core.events import Cut, Event, RunStarted, StepAttemptFailed, StepCompleted, StepFailed, StepSkipped
from ...core.ids import run_of, stream_of
from ...core.run_state import RunState
from ...core.runtime.services import Observer
from ...core.spec_state import SpecState
from ...core.state import evolve
from ...core.state import start as start_state
from ...projections.times import iso
from .output import plain, write_json
from .streams import ReaderGoneError, UnwritableError, note


class Watch:
    """An engine's observer that passes on what it is told to a watcher, whose troubles must not stop the run."""

    def __init__(self) -> None:
        self.watcher: Observer | None = None

    def __call__(self, stream: str, version: int, event: Event) -> None:
        if self.watcher is not None:
            try:
                self.watcher(stream, version, event)
            except Exception as error:
                self.watcher = None
                gone = "nobody reads the output any more" if isinstance(error, ReaderGoneError) else repr(error)
                if isinstance(error, UnwritableError):
                    gone = str(error)
                note(f"note: {gone}; the run goes on unseen")


def json_line(stream: str, version: int, event: Event) -> None:
    """Write an event as a line of JSON."""
    run_id = run_of(stream)[1]
    at, data = iso(event.at), event_data(event)
    write_json({"event": event.topic, "run_id": run_id, "version": version, "at": at, "data": data})


def event_data(event: Event) -> dict[str, Any]:
    """The event's fields as JSON values, without the time."""
    return {field.name: _value(getattr(event, field.name)) for field in fields(event) if field.name != "at"}


def _value(value: Any) -> Any:
    if isinstance(value, Payload):
        return value.value
    return asdict(value) if isinstance(value, Cut) else value


@contextmanager
def progress(screen: Console, known: RunState | None) -> Generator[Observer]:
    """Shows how far the run is, on `screen`; `known` is what it had come to before, if there was anything."""
    if not screen.is_terminal:
        yield _Lines(screen, known)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[now]}", markup=True),
    )
    with Progress(*columns, console=screen, transient=True) as bar:
        yield _Bar(bar, known)


class _Follower:
    """Folds the events that it is told of, so as to know how far the run is."""

    def __init__(self, known: RunState | None):
        self.state = known
        self._stream: str | None = None if known is None else stream_of(known.started.tenant, known.started.run_id)

    def __call__(self, stream: str, version: int, event: Event) -> None:
        if self._stream is None:
            self._stream = stream
        if stream != self._stream:  # a child's, or of the run that goes on with the work
            return
        if isinstance(event, RunStarted):
            self.state = start_state(event)
        elif self.state is not None:
            evolve(self.state, event)
        if self.state is not None:
            self.show(self.state, event)

    def show(self, state: RunState, event: Event) -> None:
        """Bring what is seen up to date."""
        raise NotImplementedError


class _Bar(_Follower):
    def __init__(self, bar: Progress, known: RunState | None):
        super().__init__(known)
        self._bar = bar
        self._task = bar.add_task("starting", total=None, now="")
        if known is not None:
            self._update(known)

    def show(self, state: RunState, event: Event) -> None:
        self._update(state)

    def _update(self, state: RunState) -> None:
        ready = state.ready if isinstance(state, SpecState) else []
        names = [state.plan.steps[index].step_id for index in ready[:3]] if isinstance(state, SpecState) else []
        more = f" and {len(ready) - 3} more" if len(ready) > 3 else ""
        self._bar.update(
            self._task,
            description=state.started.workflow_type,
            total=_total(state),
            completed=state.ended_steps,
            now=", ".join(names) + more,
        )


class _Lines(_Follower):
    def __init__(self, screen: Console, known: RunState | None):
        super().__init__(known)
        self._screen = screen

    def show(self, state: RunState, event: Event) -> None:
        total = _total(state)
        done = str(state.ended_steps) if total is None else f"{state.ended_steps}/{total}"
        if isinstance(event, RunStarted):
            steps = "a function" if total is None else f"{total} steps"
            self._print(f"run {event.run_id} of {event.workflow_type}: {steps}")
        elif isinstance(event, StepCompleted):
            self._print(f"{done} {event.step_id} completed")
        elif isinstance(event, StepSkipped):
            self._print(f"{done} {event.step_id} skipped: depends on {event.because}")
        elif isinstance(event, StepFailed):
            self._print(f"{done} {event.step_id} failed: {event.error_code}: {event.message}")
        elif isinstance(event, StepAttemptFailed):
            self._print(f"{done} {event.step_id} attempt {event.attempt} failed, trying again: {event.message}")

    def _print(self, line: str) -> None:
        self._screen.print(plain(line), soft_wrap=True)


def _total(state: RunState) -> int | None:
    """How many steps there are; of a function nobody knows."""
    return len(state.plan.steps) if isinstance(state, SpecState) else None
