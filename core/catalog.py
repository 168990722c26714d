"""The registered specs of a tenant, folded from its control stream, and the names by which they are called.

A type and a version name one spec for ever. The latest of a type is the one that was registered last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, cast

from .differences import differences
from .errors import CallError, IntegrityError, Problem, SpecConflictError, SpecNotFoundError
from .events import Event, SpecRegistered
from .spec import WorkflowSpec
from .spec_problems import NAME, did_you_mean, shown

_NAME = re.compile(NAME.removeprefix("^").removesuffix("$"))
_DEFAULT_VERSION: str = WorkflowSpec.model_fields["version"].default
_TOLD = 20
"""So many differences, versions or names are told; of what is beyond, only that there is more."""


def is_name(text: str) -> bool:
    """Whether `text` can be the name of a registered spec: a workflow type, or `type#version`."""
    parts = text.split("#")
    return len(parts) <= 2 and all(map(_NAME.fullmatch, parts))


def parse_name(text: str) -> tuple[str, str | None]:
    """Type and version (None: the latest) of `type` or `type#version`. Raises CallError for anything else.

    Neither a workflow type nor a version can hold a `#`, so no name has two meanings.
    """
    if not is_name(text):
        fix = "give it as type or type#version; the text of a spec must be parsed first"
        raise CallError(Problem("", f"{shown(text)} is no name of a workflow", fix))
    workflow_type, mark, version = text.partition("#")
    return workflow_type, version if mark else None


class Catalog:
    """What is registered for one tenant, as its control stream says."""

    def __init__(self, tenant: str):
        self._tenant = tenant
        self._types: dict[str, dict[str, SpecRegistered]] = {}

    def take(self, event: Event) -> None:
        """Add the next event. Raises IntegrityError for one that cannot follow, or does not agree with itself."""
        if not isinstance(event, SpecRegistered):
            raise IntegrityError(f"{event.topic} cannot occur here")
        name = f"{event.workflow_type}#{event.version}"
        value: Any = event.spec.value
        says = _says(cast("dict[str, Any]", value)) if isinstance(value, dict) else None
        if event.spec.sha256 != event.spec_hash:
            raise IntegrityError(f"{event.topic}: the hash of {name} is {event.spec.sha256}, not {event.spec_hash}")
        if event.tenant != self._tenant:
            raise IntegrityError(f"{event.topic}: {name} was registered for another tenant, {event.tenant!r}")
        if says != (event.workflow_type, event.version):
            raise IntegrityError(f"{event.topic}: the spec registered as {name} says that it is another one")
        versions = self._types.setdefault(event.workflow_type, {})
        if event.version in versions:
            raise IntegrityError(f"{event.topic}: {name} is registered already")
        versions[event.version] = event

    def find(self, workflow_type: str, version: str) -> SpecRegistered | None:
        """What is registered under this type and version, if anything."""
        return self._types.get(workflow_type, {}).get(version)

    def get(self, workflow_type: str, version: str | None) -> SpecRegistered:
        """What is registered under this type and version, None being the latest. Raises SpecNotFoundError."""
        versions = self._types.get(workflow_type)
        if versions is None:
            reason = f"no workflow {shown(workflow_type)} is registered for tenant {self._tenant!r}"
            near = did_you_mean(workflow_type, sorted(self._types))
            fix = near or (f"there are {_told(sorted(self._types))}" if self._types else "register its spec first")
            raise SpecNotFoundError(Problem("", reason, fix))
        if version is None:
            return next(reversed(versions.values()))
        if version not in versions:
            reason = f"workflow {shown(workflow_type)} has no version {shown(version)}"
            raise SpecNotFoundError(Problem("", reason, f"latest first, there are {_told(list(reversed(versions)))}"))
        return versions[version]

    def is_latest(self, event: SpecRegistered) -> bool:
        """Whether nothing of the same type was registered after `event`."""
        return self.get(event.workflow_type, None) is event

    def __iter__(self) -> Iterator[SpecRegistered]:
        """Everything, by type, and each type's versions in the order in which they were registered."""
        for workflow_type in sorted(self._types):
            yield from self._types[workflow_type].values()


def check_unchanged(registered: SpecRegistered, spec: WorkflowSpec) -> None:
    """Raises SpecConflictError, with a pointer to each difference, unless `spec` is what is registered."""
    if registered.spec_hash == spec.sha256:
        return
    reason = f"version {registered.version!r} of {registered.workflow_type!r} is registered with another content"
    problems = [Problem("/version", reason, "give what has changed a version of its own")]
    found = differences(registered.spec.value, spec.to_json())
    for pointer, there, given in islice(found, _TOLD):
        problems.append(Problem(pointer, f"{there} is registered, {given} is given"))
    if next(found, None) is not None:
        problems.append(Problem("", "there are more differences; these are the first"))
    raise SpecConflictError(problems)


def _says(spec: dict[str, Any]) -> tuple[Any, Any]:
    return spec.get("workflow_type"), spec.get("version", _DEFAULT_VERSION)


def _told(names: list[str]) -> str:
    return ", ".join(names[:_TOLD]) + (f" and {len(names) - _TOLD} more" if len(names) > _TOLD else "")
