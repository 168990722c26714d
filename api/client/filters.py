"""Which runs a client asks for: checked before anything is sent, so that it is the same on a store and over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypedDict, cast

from ...core.errors import CallError, Problem
from ...core.ids import check_run_id
from ...projections.run_filter import RunFilter, check_status
from ...projections.texts import column_text

_MOST, _MOST_ATTRIBUTES = 200, 20
_TEXTS = ("workflow_type", "version", "agent_id", "queue", "error_code", "parent", "prefix", "forked_from")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RunsWanted(TypedDict, total=False):
    """Runs of which everything holds that is given: one `status` or several of which a run has one, a `workflow_type`
    and its `version`, who (`agent_id`), where (`queue`), why not (`error_code`), when (`started_after` with that time,
    `started_before` without it: a datetime with its zone, or ISO 8601), the run that started it (`parent`) or that it
    was forked from (`forked_from`), what its id begins with (`prefix`), and `attributes`: texts as they are, other
    values as JSON writes them."""

    status: str | Sequence[str] | None
    workflow_type: str | None
    version: str | None
    agent_id: str | None
    queue: str | None
    error_code: str | None
    started_after: datetime | str | None
    started_before: datetime | str | None
    parent: str | None
    prefix: str | None
    forked_from: str | None
    attributes: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for; `texts` are the filters that are a text each."""

    statuses: tuple[str, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict[str, str])
    started_after: datetime | None = None
    started_before: datetime | None = None
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def read(cls, given: RunsWanted) -> Wanted:
        """What is given. Raises TypeError for a filter that there is not, and CallError for what cannot be."""
        for name in given:
            if name not in RunsWanted.__annotations__:
                raise TypeError(f"there is no filter {name!r}; there are {', '.join(RunsWanted.__annotations__)}")
        status = given.get("status")
        statuses = () if status is None else (status,) if isinstance(status, str) else tuple(status)
        texts = {name: _text(name, value) for name in _TEXTS if (value := given.get(name)) is not None}
        if "version" in texts and "workflow_type" not in texts:
            raise CallError(Problem("", "a version is given without a workflow_type", "say which type's version it is"))
        return cls(
            tuple(dict.fromkeys(map(check_status, statuses))),
            texts,
            _time("started_after", given.get("started_after")),
            _time("started_before", given.get("started_before")),
            _attributes(given.get("attributes") or {}),
        )

    def parameters(self) -> dict[str, Any]:
        """The filters as `GET /v1/runs` takes them."""
        times = {"started_after": self.started_after, "started_before": self.started_before}
        told: dict[str, Any] = {**self.texts}
        told |= {name: at.isoformat() for name, at in times.items() if at is not None}
        told["status"] = list(self.statuses)
        told["attribute"] = [f"{name}={value}" for name, value in self.attributes.items()]
        return told

    def run_filter(self) -> RunFilter:
        """The filters as the index, or the log, is asked."""
        texts = {"workflow_version" if name == "version" else name: text for name, text in self.texts.items()}
        return RunFilter(
            **cast("dict[str, Any]", texts),
            started_since=_micros(self.started_after),
            started_until=_micros(self.started_before),
            attributes=self.attributes,
            any_status=self.statuses,
        )


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > _MOST:
        raise CallError(Problem("", f"{name} must be a text of at most {_MOST} characters", "give another one"))
    if name in ("parent", "prefix", "forked_from"):
        check_run_id(value)
    return column_text(value)


def _attributes(given: Mapping[str, str]) -> dict[str, str]:
    for name, value in given.items():
        if not (0 < len(name) <= _MOST and "=" not in name and "\0" not in name + value):
            raise CallError(Problem("", f"{name[:60]!a} cannot be asked for as an attribute", "give another name"))
    if len(given) > _MOST_ATTRIBUTES:
        raise CallError(Problem("", f"more than {_MOST_ATTRIBUTES} attributes are asked for", "give fewer"))
    return dict(given)


def _time(name: str, given: datetime | str | None) -> datetime | None:
    try:
        at = datetime.fromisoformat(given) if isinstance(given, str) else given
    except ValueError:
        at = datetime.min
    if at is not None and at.tzinfo is None:
        raise CallError(Problem("", f"{name} must be a time with its zone", "such as 2026-11-20T08:00:00Z"))
    return at


def _micros(at: datetime | None) -> int | None:
    if at is None:
        return None
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
