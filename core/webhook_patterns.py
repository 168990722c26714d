"""Which events webhooks can be told of, and the patterns by which they ask for them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .errors import CallError, Problem
from .events import EVENTS
from .spec_problems import did_you_mean, shown

FAMILIES = ("approval", "emergency", "policy", "run")
"""Topics that begin so are offered, in streams of runs and in control streams."""

SINGLE = ("step.failed",)
"""Topics that are offered one by one."""

MAX_PATTERNS = 20
"""So many patterns an endpoint may have."""

_PATTERN = re.compile(r"[a-z]{1,40}\.(?:[a-z][a-z_]{0,59}|\*)")


def is_offered(topic: str) -> bool:
    """Whether webhooks can be told of events of this topic."""
    return topic in SINGLE or topic.partition(".")[0] in FAMILIES


def matches(patterns: Iterable[str], topic: str) -> bool:
    """Whether one of `patterns` means the topic: it is the topic, or `family.*` for a topic of the family."""
    family = topic.partition(".")[0] + ".*"
    return any(pattern in (topic, family) for pattern in patterns)


def check_patterns(given: Sequence[str]) -> tuple[str, ...]:
    """`given`, sorted and each once, if they are patterns of what is offered. Raises CallError."""
    if not given or len(given) > MAX_PATTERNS:
        raise CallError(Problem("", f"{len(given)} patterns are given", f"give 1 to {MAX_PATTERNS}, such as run.*"))
    for pattern in given:
        _check(pattern)
    return tuple(sorted(set(given)))


def _check(pattern: str) -> None:
    family, _, name = pattern.partition(".")
    offered = [*(f"{each}.*" for each in FAMILIES), *SINGLE]
    if not _PATTERN.fullmatch(pattern) or (family not in FAMILIES and pattern not in SINGLE):
        reason = f"{shown(pattern)} is no pattern of events that webhooks are told of"
        raise CallError(Problem("", reason, f"use {', '.join(offered)}, or one topic such as run.completed"))
    known = sorted(topic for topic in EVENTS if topic.startswith(f"{family}."))
    if name != "*" and known and pattern not in known:
        fix = did_you_mean(pattern, known) or f"use {', '.join(known)}"
        raise CallError(Problem("", f"there is no event {shown(pattern)}", fix))
