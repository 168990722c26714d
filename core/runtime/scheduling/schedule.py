"""What a schedule says: what is to run, when, and what becomes of firings that were missed or that meet.

Schedule(schedule_id="nightly", workflow="report", cron="0 2 * * *", timezone="Europe/Berlin")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple, Self, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_serializer, model_validator

from ...canonical import canonical_json, decode
from ...catalog import parse_name
from ...durations import seconds_of
from ...errors import CallError, Problem
from ...ids import check_queue, check_run_id
from ...spec import WorkflowSpec
from ...spec_problems import explain, in_order, kind_of, wrong_type
from ..functions.workflow import Workflow
from .fire_times import Timing, check_cron, check_zone

MAX_ID = 150
"""Characters of a schedule's id: the ids of its runs begin with it."""


def _seconds(value: Any) -> Any:
    seconds = seconds_of(value)
    if seconds != int(seconds):
        raise CallError(Problem("", f"{seconds:g} s are no whole seconds", "schedules count in whole seconds"))
    return int(seconds)


def _every(value: Any) -> Any:
    seconds = _seconds(value)
    if seconds < 1:
        raise CallError(Problem("", "an interval lasts at least one second", 'write "1s" or more'))
    return seconds


def _moment(value: Any) -> Any:
    moment: object = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise CallError(Problem("", f"{ascii(value)[:60]} is no time", "write 2026-03-29T02:00:00Z")) from None
    if not isinstance(moment, datetime):
        raise CallError(wrong_type("", "a time", value))
    if moment.tzinfo is None:
        raise CallError(Problem("", "a time needs its offset from UTC", "write 2026-03-29T02:00:00Z, or +02:00"))
    return moment.astimezone(UTC)


def _target(value: Any) -> Any:
    if isinstance(value, Workflow):
        return cast("Workflow[..., Any]", value).workflow_type
    if isinstance(value, str):
        parse_name(value)
    return value


def _spec(value: Any) -> Any:
    return WorkflowSpec.parse(value).to_json()


def _inputs(value: Any) -> Any:
    return decode(canonical_json(cast("object", value))) if isinstance(value, dict) else value


def _id(text: str) -> str:
    check_run_id(text)
    if len(text) > MAX_ID or "~" in text:
        raise CallError(Problem("", f"a schedule's id has at most {MAX_ID} characters and no ~", "choose another"))
    return text


def _given(check: Callable[[Any], Any]) -> BeforeValidator:
    return BeforeValidator(lambda value: None if value is None else check(value))


def _text(check: Callable[[str], str]) -> BeforeValidator:
    return BeforeValidator(lambda value: check(value) if isinstance(value, str) else value)


_Moment = Annotated[datetime | None, _given(_moment)]


class Schedule(BaseModel):
    """A definition, checked in full. Raises CallError with all that is wrong, each with pointer and fix."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    schedule_id: Annotated[str, _text(_id)]
    """Names the schedule and begins the ids of its runs: `nightly` fires `nightly.20260329T000000Z`."""
    workflow: Annotated[str | None, _given(_target)] = None
    """What runs: a workflow function or registered spec by name, `TYPE` or `TYPE#VERSION`."""
    spec: Annotated[dict[str, Any] | None, _given(_spec)] = None
    """Or a spec of its own."""
    inputs: Annotated[dict[str, Any], BeforeValidator(_inputs)] = {}
    """The inputs of each run."""
    time_input: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """The input that gets the fire time, `2026-03-29T00:00:00Z`; none gets it unless this names one."""
    cron: Annotated[str | None, _text(check_cron)] = None
    """Five fields (minute, hour, day of month, month, day of week) or six, with seconds first; see `cronsim`."""
    every: Annotated[int | None, _given(_every)] = None
    """Or an interval: seconds, "90s", "1h30m", "2d". It counts from 1970-01-01 UTC, so that it needs no beginning."""
    offset: Annotated[int, BeforeValidator(_seconds)] = 0
    """By how much the firings of an interval come later than its multiples; less than the interval."""
    timezone: Annotated[str, _text(check_zone)] = "UTC"
    """In which the cron expression is meant, by its IANA name."""
    start_at: _Moment = None
    """No firing is before this."""
    end_at: _Moment = None
    """No firing is after this."""
    catch_up: Literal["all", "last", "none"] = "last"
    """Which firings are made up for that came while nobody could fire: no worker lived, or the schedule was paused."""
    catch_up_window: Annotated[int | None, _given(_seconds)] = None
    """Those that are later than this are not made up for; None: however late."""
    overlap: Literal["skip", "queue", "allow", "cancel"] = "skip"
    """What becomes of a firing while the run of an earlier one goes on: it is dropped, waits for its turn, runs beside
    it, or has it cancelled."""
    queue: Annotated[str | None, _given(check_queue)] = None
    """The queue of the runs; None: that of the schedule itself."""

    def __init__(self, /, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise CallError(in_order(explain(error, type(self).model_fields), fields)) from None

    @classmethod
    def parse(cls, document: object) -> Self:
        """The schedule in a decoded document of JSON or YAML. Raises CallError."""
        if not isinstance(document, Mapping):
            raise CallError(Problem("", f"a schedule is an object, not {kind_of(document)}", "give its fields"))
        fields = cast("Mapping[object, Any]", document)
        if not all(isinstance(name, str) for name in fields):
            raise CallError(Problem("", "a field name must be a string", "quote it"))
        return cls(**cast("dict[str, Any]", dict(fields)))

    @model_validator(mode="after")
    def _whole(self) -> Self:
        problems: list[Problem] = []
        if (self.workflow is None) is (self.spec is None):
            problems.append(Problem("", "what is to run is not clear", "give either 'workflow' or 'spec'"))
        if (self.cron is None) is (self.every is None):
            problems.append(Problem("", "when to run is not clear", "give either 'cron' or 'every'"))
        if self.offset and (self.every is None or self.offset >= self.every):
            problems.append(Problem("/offset", "an offset is less than the interval it belongs to", "give less"))
        if self.timezone != "UTC" and self.every is not None:
            problems.append(Problem("/timezone", "an interval has no time zone", "leave it out, or use 'cron'"))
        if self.start_at is not None and self.end_at is not None and self.end_at < self.start_at:
            problems.append(Problem("/end_at", "it ends before it starts", "mend one of the two"))
        if self.time_input is not None and self.time_input in self.inputs:
            problems.append(Problem("/time_input", "this input is given in 'inputs', too", "give it once"))
        sensitive = set((self.spec or {}).get("sensitive_inputs") or ()) & {*self.inputs, self.time_input}
        for name in sorted(str(each) for each in sensitive):
            reason = f"the input {name!r} is sensitive, and schedules are recorded as they are"
            problems.append(Problem("/inputs", reason, "start such runs with these inputs from outside"))
        if problems:
            raise CallError(problems)
        return self

    @field_serializer("start_at", "end_at")
    def _told(self, moment: datetime | None) -> str | None:
        return None if moment is None else moment.isoformat().replace("+00:00", "Z")

    def to_json(self) -> dict[str, Any]:
        """What was given, as a document that `parse` takes."""
        return self.model_dump(mode="json", exclude_defaults=True)

    @property
    def timing(self) -> Timing:
        """When it fires, without what."""
        return Timing(
            cron=self.cron,
            every=self.every,
            offset=self.offset,
            timezone=self.timezone,
            start_at=None if self.start_at is None else self.start_at.timestamp(),
            end_at=None if self.end_at is None else self.end_at.timestamp(),
            catch_up=self.catch_up,
            window=self.catch_up_window,
        )


class Fire(NamedTuple):
    """One firing: when it was due, as ISO 8601 shows it, and the id of its run."""

    at: str
    run_id: str


def fire_of(schedule_id: str, at: int) -> Fire:
    """The firing due at `at` (seconds since the epoch); its run id holds the time in ISO 8601's basic form."""
    moment = datetime.fromtimestamp(at, UTC)
    return Fire(f"{moment:%Y-%m-%dT%H:%M:%SZ}", f"{schedule_id}.{moment:%Y%m%dT%H%M%SZ}")


def trigger_of(schedule_id: str, at: datetime, number: int) -> Fire:
    """The firing that somebody triggered at `at`, the `number`th of its schedule."""
    return Fire(f"{at:%Y-%m-%dT%H:%M:%SZ}", f"{schedule_id}.{at:%Y%m%dT%H%M%SZ}.trigger{number}")
