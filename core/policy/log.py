"""The policies that were ever adopted, folded from their control stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..errors import CallError, IntegrityError, Problem
from ..events import Event, PolicyAdopted
from .document import Policy


class PolicyLog:
    """Adopted policies by name and version, each of which stands for one content for ever."""

    def __init__(self, events: Iterable[Event] = ()):
        self._adopted: dict[tuple[str, str], PolicyAdopted] = {}
        for event in events:
            self.take(event)

    def take(self, event: Event) -> None:
        """Add the next event. Raises IntegrityError for one that cannot follow, or does not agree with itself."""
        if not isinstance(event, PolicyAdopted):
            raise IntegrityError(f"{event.topic} cannot occur here")
        if event.document.sha256 != event.sha256:
            raise IntegrityError(f"{event.topic}: the hash is {event.document.sha256}, not {event.sha256}")
        policy = Policy.parse(event.document.value)
        key = (event.name, event.version)
        if key != (policy.policy, policy.version):
            raise IntegrityError(f"{event.topic}: what was adopted as {'#'.join(key)} says that it is another one")
        if key in self._adopted:
            raise IntegrityError(f"{event.topic}: {'#'.join(key)} was adopted already")
        self._adopted[key] = event

    def is_known(self, policy: Policy) -> bool:
        """Whether it was adopted before. Raises CallError where its name and version stand for another content."""
        known = self._adopted.get((policy.policy, policy.version))
        if known is not None and known.sha256 != policy.sha256:
            reason = f"version {policy.version!r} of policy {policy.policy!r} was in use with another content"
            raise CallError(Problem("/version", reason, "give what has changed a version of its own"))
        return known is not None

    def __iter__(self) -> Iterator[PolicyAdopted]:
        """In the order in which they were adopted."""
        return iter(self._adopted.values())
