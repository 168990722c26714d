"""Sensitive data: what stands for it wherever runs are recorded, hashed, compared and shown.

A sensitive payload's `data`, `value` and `sha256` are those of a placeholder, `{"$sensitive": "login"}`, so that
whatever does not know of sensitive data sees nothing else. The value itself is had by `Payload.revealed` alone, where
the key to it is at hand. A reference into a placeholder gives another one, which names the reference.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from .canonical import Hidden, Payload, placeholder
from .code_state import CodeState
from .errors import DataErasedError
from .plan import PlannedStep
from .references import INPUTS, Template
from .run_state import RunState
from .spec_state import SpecState

UNTOLD = "not recorded: what the step works on is sensitive"
"""What stands in the place of the message of a sensitive step's failure."""


def hide(payload: Payload, name: str) -> Payload:
    """`payload` as a sensitive one, called `name`."""
    if payload.hidden is not None:
        return payload
    return hidden_as(placeholder(name), Hidden(payload.data, None))


def hide_members(inputs: Payload, names: Collection[str]) -> Payload:
    """The inputs of a run, an object, of which the members `names` are sensitive; also if there are none of them."""
    members = {
        name: placeholder(f"{INPUTS}.{name}") if name in names else value for name, value in inputs.value.items()
    }
    return hidden_as(members, Hidden(inputs.data, tuple(sorted(name for name in names if name in members))))


def hidden_as(shown: dict[str, Any], hidden: Hidden) -> Payload:
    """The payload that shows `shown`, in which placeholders stand, and hides `hidden`."""
    payload = Payload.of(shown)
    payload.value = shown
    payload.hidden = hidden
    return payload


class Revealed:
    """A run as its own skills may see it: a scope for references, with the values of what is sensitive.

    Raises DataErasedError where they are gone, or the key to them is not here.
    """

    def __init__(self, state: SpecState):
        self._state = state

    @property
    def inputs(self) -> Mapping[str, Any]:
        """See `Scope.inputs`."""
        return self._state.started.inputs.revealed().value

    def output(self, step_id: str) -> Any:
        """See `Scope.output`."""
        outcome = self._state.outcomes[self._state.plan.index_of[step_id]]
        if outcome is None or outcome.output is None:
            return self._state.output(step_id)
        return outcome.output.revealed().value


def touches(state: SpecState, template: Template) -> bool:
    """Whether something that `template` refers to is sensitive."""
    if not state.hides:
        return False
    hidden = state.started.inputs.hidden
    names = () if hidden is None else hidden.names or ()
    for reference in template.references:
        if reference.root == INPUTS:
            if names and (not reference.path or reference.path[0] in names):
                return True
            continue
        outcome = state.outcomes[state.plan.index_of[reference.root]]
        if outcome is not None and outcome.output is not None and outcome.output.hidden is not None:
            return True
    return False


def is_sensitive(state: RunState, step: Any, declared: bool) -> bool:
    """Whether what comes of `step` is: it, its skill or its function is `declared` so, or its inputs hold such data."""
    if isinstance(state, SpecState) and isinstance(step, PlannedStep):
        return declared or step.sensitive or touches(state, step.inputs)
    return state.started.inputs.hidden is not None if isinstance(state, CodeState) else declared


def spec_output(state: SpecState, template: Template, shown: Any) -> Payload:
    """The run's output, of which `shown` is what is recorded."""
    if not touches(state, template):
        return Payload.of(shown)
    return _output(shown, lambda: template.resolve(Revealed(state)))


def sinks_output(state: SpecState, shown: dict[str, Any]) -> Payload:
    """The same for the outputs of the steps nobody depends on, by step id."""
    outcomes = {name: state.outcomes[state.plan.index_of[name]] for name in shown}
    outputs = {name: None if outcome is None else outcome.output for name, outcome in outcomes.items()}
    if all(output is None or output.hidden is None for output in outputs.values()):
        return Payload.of(shown)
    return _output(
        shown, lambda: {name: None if output is None else output.revealed().value for name, output in outputs.items()}
    )


def _output(shown: Any, reveal: Any) -> Payload:
    payload = Payload.of(shown)
    try:
        payload.hidden = Hidden(Payload.of(reveal()).data, None)
    except DataErasedError:
        payload.hidden = Hidden(None, None)
    return payload
