"""What the failure catalog says of a code, and the retry policies that it recommends."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from .retry import Retry


class Category(StrEnum):
    """What kind of thing went wrong; the kind tells who can cure it."""

    TRANSIENT = "TRANSIENT"
    PERMANENT = "PERMANENT"
    RESOURCE = "RESOURCE"
    PERMISSION = "PERMISSION"
    VALIDATION = "VALIDATION"


class Recovery(StrEnum):
    """What cures a failure of a code."""

    RETRY = "retry"
    """Try again, soon: it passes by itself."""
    RETRY_LATER = "retry_later"
    """Try again when something has become free, or is back."""
    FIX_INPUT = "fix_input"
    """Change what was given: inputs, the spec, the arguments of the call."""
    FIX_CONFIG = "fix_config"
    """Change what surrounds it: settings, limits, rights, what is registered or installed."""
    ASK_PERSON = "ask_person"
    """Somebody has to look and decide."""
    FORK = "fork"
    """Mend the code, then begin a new run from what this one has recorded."""
    GIVE_UP = "give_up"
    """Nothing is to be cured: it was decided so, or is over."""


ONCE = Retry()
"""No second attempt: it would fail as the first did."""

QUICK = Retry(max_attempts=6, initial_seconds=0.1, max_seconds=5.0)
"""For collisions, which are over within seconds."""

BACKOFF = Retry(max_attempts=5)
"""For what passes within a minute: pauses of 1, 2, 4 and 8 seconds."""

PATIENT = Retry(max_attempts=8, initial_seconds=10.0, max_seconds=600.0)
"""For what has to become free first: 10 seconds to 10 minutes, about 20 minutes in all."""


class CatalogEntry(NamedTuple):
    """What the catalog says of a code: its category, whether another attempt can help, and its meaning in a sentence.

    `recovery` is what cures it and `suggestion` how, with the command to type; `RUN_ID` stands for the run's id.
    `http_status` is that of an answer which reports it. `retry` is the policy that is recommended for steps which can
    fail so; it is advice, for a step that says nothing about retries is tried once.
    """

    code: str
    category: Category
    retryable: bool
    meaning: str
    recovery: Recovery = Recovery.ASK_PERSON
    suggestion: str = "Look at the run: refold show RUN_ID"
    http_status: int = 500
    retry: Retry = ONCE
    documentation: str = ""
    """Where more is said: of our own codes a path from the root of the repository, of others whatever they give."""

    @property
    def anchor(self) -> str:
        """The heading of the code in a document of the catalog, as a fragment without the #."""
        return self.code.lower()

    def advice(self, run_id: str) -> str:
        """The suggestion, for this run."""
        return self.suggestion.replace("RUN_ID", run_id)

    def to_json(self) -> dict[str, Any]:
        """The entry as JSON; `docs/failures.schema.json` describes it."""
        retry = {name: getattr(self.retry, name) for name in Retry.__slots__}
        return {
            "code": self.code,
            "category": self.category.value,
            "retryable": self.retryable,
            "recovery": self.recovery.value,
            "retry": retry,
            "http_status": self.http_status,
            "meaning": self.meaning,
            "suggestion": self.suggestion,
            "documentation": self.documentation,
        }


def entry(
    code: str, category: Category, recovery: Recovery, http_status: int, retry: Retry, meaning: str, suggestion: str
) -> CatalogEntry:
    """An entry of our own tables: what is recommended to be tried again can be."""
    read = f"docs/failures.md#{code.lower()}"
    return CatalogEntry(code, category, retry.max_attempts > 1, meaning, recovery, suggestion, http_status, retry, read)
