"""References to secrets in templates: what they resolve to, and where the values go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from refold.core.canonical import canonical_json
from refold.core.errors import Problem
from refold.core.references import compile_template
from refold.core.secret_marks import marks_of, revealed


class Run:
    """A scope of fixed inputs."""

    def __init__(self, inputs: Mapping[str, Any]):
        self.inputs = inputs

    def output(self, step_id: str) -> Any:
        raise KeyError(step_id)


def test_a_secret_stays_what_is_recorded_and_is_known_by_its_place() -> None:
    problems: list[Problem] = []
    given = {
        "a": "${secrets.T}",
        "b": ["Bearer ${secrets.T} for ${inputs.who}"],
        "c": "$${secrets.T}",
        "d": "${inputs.who}",
    }
    template = compile_template(given, "/at", problems, secrets=True)
    assert not problems and template.secrets == {"T"}
    assert [each.text for each in template.references] == ["${inputs.who}", "${inputs.who}"]
    value = template.resolve(Run({"who": "${secrets.T}"}))
    assert value == {
        "a": "${secrets.T}",
        "b": ["Bearer ${secrets.T} for ${secrets.T}"],
        "c": "${secrets.T}",
        "d": "${secrets.T}",
    }
    marks = marks_of(value, canonical_json(value))
    assert revealed(value, marks, {"T": "!"}) == {
        "a": "!",
        "b": ["Bearer ! for ${secrets.T}"],
        "c": "${secrets.T}",
        "d": "${secrets.T}",
    }


@pytest.mark.parametrize(
    "text", ["${secrets}", "${secrets.a-b}", "${secrets.a.b}", "${secrets[0]}", '${secrets["a b"]}']
)
def test_secrets_have_plain_names(text: str) -> None:
    problems: list[Problem] = []
    compile_template(text, "/at", problems, secrets=True)
    assert [str(problem) for problem in problems] == [
        f"at /at: '{text}' names no secret. Fix: write ${{secrets.NAME}}, of letters, digits and _"
    ]
