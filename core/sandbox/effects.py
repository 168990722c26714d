"""Which calls have a side effect: they must carry an idempotency key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .rules import SandboxRules

_CONDITIONAL = {each.skill: each for each in SandboxRules().side_effects if each.argument is not None}


def has_effect(skill_id: str, declared: bool, inputs: Mapping[str, Any]) -> bool:
    """Whether a call with these inputs has an effect: as its skill has `declared`, but that HTTP's safe methods
    (RFC 9110, 9.2.1) have none."""
    effect = _CONDITIONAL.get(skill_id)
    if effect is None or not declared:
        return declared
    return str(inputs.get(effect.argument or "", effect.default)).upper() not in effect.harmless


def decided_by(skill_id: str) -> str | None:
    """The input that decides whether a call has an effect, None where the skill's declaration alone does."""
    effect = _CONDITIONAL.get(skill_id)
    return None if effect is None else effect.argument
