"""A skill that stands in for the programs of a converted workflow: nothing is run, yet all depends on what went before.

refold run spec.json --skills examples/convert/skills.py
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from refold import canonical_json, skill


@skill(deterministic=True)
def task(
    task: str,
    after: dict[str, Any] | None = None,
    runtime_seconds: float = 0,
    output_files: list[str] | None = None,
    **details: Any,
) -> dict[str, Any]:
    """Pretend to run a task: when it would end, and files whose content follows from all that went before."""
    parents = after or {}
    starts = max((parent["ends_at_seconds"] for parent in parents.values()), default=0)
    content = canonical_json({"task": task, "after": parents, "details": details})
    return {
        "ends_at_seconds": starts + runtime_seconds,
        "files": {name: sha256(content + name.encode()).hexdigest()[:16] for name in output_files or []},
        "sha256": sha256(content).hexdigest(),
    }
