"""The failure catalog: every code that a step, a run or an answer can carry, and what is to be done about it.

Refold's own codes stand in the tables `failure_table_*`. Users add theirs with a `FailureCatalog`, which skills and
workflow functions name in their declaration: so what a code means comes with the code that raises it, and is the same
on every worker that can run it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from .errors import CallError, Problem
from .failure_entry import BACKOFF, ONCE, CatalogEntry, Category, Recovery
from .failure_table_access import ACCESS_FAILURES
from .failure_table_control import (
    APPROVAL_FAILURES,
    JOB_FAILURES,
    POLICY_FAILURES,
    SECRET_FAILURES,
    WEBHOOK_FAILURES,
)
from .failure_table_runs import CALL_FAILURES, RUN_FAILURES, STEP_FAILURES, STORE_FAILURES
from .failure_table_serving import SERVING_FAILURES
from .failure_table_skills import SKILL_FAILURES
from .retry import Retry

__all__ = ["FAILURES", "REJECTIONS", "THEMES", "CatalogEntry", "Category", "FailureCatalog", "Recovery", "is_code"]

THEMES: dict[str, tuple[CatalogEntry, ...]] = {
    "Skills and what they call": SKILL_FAILURES,
    "Steps": STEP_FAILURES,
    "Runs": RUN_FAILURES,
    "Specs and calls": CALL_FAILURES,
    "Policies and limits": POLICY_FAILURES,
    "Approvals": APPROVAL_FAILURES,
    "Webhooks": WEBHOOK_FAILURES,
    "Access": ACCESS_FAILURES,
    "Jobs": JOB_FAILURES,
    "The HTTP server": SERVING_FAILURES,
    "Secrets and erasure": SECRET_FAILURES,
    "Store and proofs": STORE_FAILURES,
}
"""Every code that Refold itself uses, by what it is about."""

FAILURES: dict[str, CatalogEntry] = {entry.code: entry for entries in THEMES.values() for entry in entries}
"""Every code that Refold itself uses, by its name."""

REJECTIONS = frozenset(
    {
        "APPROVAL_EXPIRED",
        "APPROVAL_REJECTED",
        "BUDGET_EXCEEDED",
        "CONCURRENCY_LIMITED",
        "EMERGENCY_STOP",
        "IDEMPOTENCY_KEY_MISSING",
        "POLICY_REFUSED",
        "RATE_LIMITED",
        "SANDBOX_REJECTED",
        "STEP_COST_CEILING",
        "WORKFLOW_COST_CEILING",
    }
)
"""The codes of refusals: a run that ends by one of them is rejected, it has not failed."""

_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")

_CURES = {
    Category.TRANSIENT: Recovery.RETRY,
    Category.PERMANENT: Recovery.ASK_PERSON,
    Category.RESOURCE: Recovery.RETRY_LATER,
    Category.PERMISSION: Recovery.ASK_PERSON,
    Category.VALIDATION: Recovery.FIX_INPUT,
}
"""What cures a user's own failures, where nothing else is said."""


def is_code(code: object) -> bool:
    """Whether a code can be called so: up to 64 capital letters, digits and _, a letter first."""
    return isinstance(code, str) and _CODE.fullmatch(code) is not None


class FailureCatalog:
    """Refold's own codes, and those that were registered here. Iterates over all entries, sorted by code."""

    def __init__(self, entries: Iterable[CatalogEntry] = ()):
        """Raises CallError as `add` does."""
        self._own: dict[str, CatalogEntry] = {}
        for entry in entries:
            self.add(entry)

    def register(
        self,
        code: str,
        category: Category | str,
        meaning: str,
        *,
        suggestion: str = "",
        recovery: Recovery | str | None = None,
        retryable: bool | None = None,
        retry: Retry | None = None,
        http_status: int = 500,
        documentation: str = "",
    ) -> CatalogEntry:
        """Add a code of one's own, and return its entry.

        Left out, `recovery` and `retryable` follow from the category: TRANSIENT and RESOURCE can be tried again.
        `documentation` is a URL or a path.
        Raises CallError, with every reason, for what is no code, category or recovery, for a code of Refold's and for
        one that is registered otherwise.
        """
        problems = [
            Problem("", f"{name} {value!r} is unknown", f"use one of {', '.join(kind)}")
            for name, value, kind in (("category", category, Category), ("recovery", recovery, Recovery))
            if value is not None and value not in list(kind)
        ]
        if problems:
            raise CallError(problems)
        kind = Category(category)
        again = kind in (Category.TRANSIENT, Category.RESOURCE) if retryable is None else retryable
        return self.add(
            CatalogEntry(
                code,
                kind,
                again,
                meaning,
                _CURES[kind] if recovery is None else Recovery(recovery),
                suggestion or CatalogEntry._field_defaults["suggestion"],
                http_status,
                retry if retry is not None else BACKOFF if again else ONCE,
                documentation,
            )
        )

    def add(self, entry: CatalogEntry) -> CatalogEntry:
        """Add an entry; adding the same one again changes nothing. Raises CallError with every reason against it."""
        problems = _faults(entry)
        if not problems and self._own.get(entry.code, entry) != entry:
            problems = [Problem("", f"the code {entry.code} is registered with another meaning", "use another code")]
        if problems:
            raise CallError(problems)
        self._own[entry.code] = entry
        return entry

    def include(self, other: FailureCatalog) -> None:
        """Add what is registered in another catalog. Raises CallError when a code has two meanings."""
        for entry in other.own():
            self.add(entry)

    def find(self, code: object) -> CatalogEntry | None:
        """The entry of a code; None if neither Refold's own codes nor those registered here have it."""
        return (FAILURES.get(code) or self._own.get(code)) if isinstance(code, str) else None

    def entry(self, code: str) -> CatalogEntry:
        """The entry of a code. Raises CallError, with the code that was probably meant, for one that is not here."""
        found = self.find(code)
        if found is None:
            close = difflib.get_close_matches(code.upper(), [entry.code for entry in self], n=1)
            fix = f"did you mean {close[0]}?" if close else "see them all: refold explain"
            raise CallError(Problem("", f"no failure code is called {code[:80]!a}", fix))
        return found

    def own(self) -> list[CatalogEntry]:
        """What was registered here, sorted by code."""
        return [self._own[code] for code in sorted(self._own)]

    def __contains__(self, code: object) -> bool:
        return self.find(code) is not None

    def __iter__(self) -> Iterator[CatalogEntry]:
        return iter(sorted([*FAILURES.values(), *self._own.values()]))

    def __len__(self) -> int:
        return len(FAILURES) + len(self._own)


def _faults(entry: CatalogEntry) -> list[Problem]:
    problems: list[Problem] = []

    def refuse(wrong: bool, reason: str, fix: str) -> None:
        if wrong:
            problems.append(Problem("", f"code {str(entry.code)[:64]!a}: {reason}", fix))

    def is_line(text: Any) -> bool:
        return isinstance(text, str) and text.isprintable()

    named = is_code(entry.code)
    refuse(not named, "is no name", "up to 64 capital letters, digits and _, a letter first")
    refuse(named and entry.code in FAILURES, "is Refold's own", "use another code")
    for name, text in (("meaning", entry.meaning), ("suggestion", entry.suggestion)):
        refuse(not is_line(text) or not text.strip(), f"its {name} is no line of text", "say it in one sentence")
    refuse(not is_line(entry.documentation), "its documentation is no address", "give a URL or a path")
    refuse(type(entry.retryable) is not bool, "retryable is neither True nor False", "say which")
    status: Any = entry.http_status
    refuse(type(status) is not int or not 400 <= status <= 599, f"{status!r} is no HTTP error", "use 400 to 599")
    retry: Any = entry.retry
    refuse(not isinstance(retry, Retry), "retry is no Retry", "write Retry(max_attempts=3)")
    again = isinstance(retry, Retry) and retry.max_attempts > 1
    refuse(again and not entry.retryable, "has retries, but is not retryable", "leave retry out")
    return problems
