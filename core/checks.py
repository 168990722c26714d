"""A look at something that may be wrong, in one shape: for `refold doctor`, `/ready`, a simulation and certificates.

Checks are made by functions that know nothing of who shows them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["ok", "warning", "failed"]
"""How a check came out: nothing to do, something that somebody should know, something that must be cured."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `value` and `limit` are in `unit`; `detail` says what was found, `fix` what to type
    or to do about it (empty where there is nothing to be done). None of them may hold a secret."""

    name: str
    state: State
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    detail: str = ""
    fix: str = ""

    @property
    def failed(self) -> bool:
        """Whether it must be cured; a warning has not failed."""
        return self.state == "failed"

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "name": self.name,
            "state": self.state,
            "value": self.value,
            "limit": self.limit,
            "unit": self.unit,
            "detail": self.detail,
            "fix": self.fix,
        }


def overall(checks: Iterable[Check]) -> State:
    """The worst state among `checks`; `ok` if there are none."""
    states = {check.state for check in checks}
    return "failed" if "failed" in states else "warning" if "warning" in states else "ok"
