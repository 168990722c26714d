"""How checks are told: a line for each, and what they come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from ...core.checks import Check
from .output import console, plain, write_json

_STYLES = {"ok": "green", "warning": "bold yellow", "failed": "bold red"}


def tell_checks(checks: Sequence[Check], json: bool, more: Mapping[str, Any] | None = None) -> None:
    """Write the checks; as JSON a line for each, then one with `more` and how many have failed and warn."""
    failed, warnings = (sum(each.state == state for each in checks) for state in ("failed", "warning"))
    if json:
        for each in checks:
            write_json(each.to_json())
        write_json({**(more or {}), "checks": len(checks), "failed": failed, "warnings": warnings})
        return
    width = max((len(each.name) for each in checks), default=0)
    for each in checks:
        line = Text(f"{each.state:<8}", _STYLES[each.state]).append(f"{each.name:<{width}}  ", "default")
        console().print(line.append(plain(_told(each)), "not bold default"), soft_wrap=True)
        if each.fix and each.state != "ok":
            console().print(Text(f"{'':<8}{'':<{width}}  ").append(f"to do: {plain(each.fix)}", "dim"), soft_wrap=True)


def _told(check: Check) -> str:
    parts: list[str] = []
    if check.value is not None:
        of = "" if check.limit is None else f" (limit {check.limit:,.15g})"
        parts.append(f"{check.value:,.15g}{of} {check.unit}".rstrip())
    return ": ".join([*parts, *([check.detail] if check.detail else [])])
