"""Which code runs are proved by: the versions and sources of what a process can run."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..core.catalog import Catalog
from ..core.events import RunStarted
from ..core.hashing import sha256_hex
from ..core.ids import specs_of
from ..core.plan import Plan, plan_of
from ..core.runtime.registry import SkillRegistry
from ..eventstore.codec import decode, references
from ..eventstore.store import Store


def code_of(skills: SkillRegistry, program: str, build: str | None) -> dict[str, Any]:
    """The program (its version), the user's label of the build, and of each skill and workflow function the version and
    the SHA-256 of the source text, of its name where there is none. What they call is not looked at."""
    found = [(name, skills.get(name)) for name in skills.names()]
    return {
        "program": program,
        "build": build,
        "skills": {name: {"version": each.version, "source": _source(each.function)} for name, each in found},
        "workflows": {
            each.workflow_type: {"version": each.version, "source": each.source} for each in skills.workflows()
        },
    }


def plans_against(store: Store, tenant: str, version: str) -> Callable[[RunStarted], Plan]:
    """The plan of the registered spec of a run's type, in that version. What it gives raises SpecNotFoundError where
    there is none, and SpecError for one that cannot run; this raises IntegrityError for a registry that was altered."""
    catalog = Catalog(tenant)
    records = store.read(specs_of(tenant))
    large = store.large(sorted(references(records)))
    for record in records:
        catalog.take(decode(record, large))
    return lambda started: plan_of(catalog.get(started.workflow_type, version).spec.data)


def _source(function: Any) -> str:
    inner = inspect.unwrap(function)
    try:
        text = inspect.getsource(inner)
    except (OSError, TypeError):
        text = f"{getattr(inner, '__module__', '')}.{getattr(inner, '__qualname__', '')}"
    return sha256_hex(text.encode(errors="replace"))
