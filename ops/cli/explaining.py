"""`refold explain`: the failure catalog, as people and programs read it."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ...core.errors import CallError, Problem
from ...core.failure_schema import CATALOG_SCHEMA
from ...core.failures import THEMES, CatalogEntry, Category, FailureCatalog
from .faults import OK
from .output import console, plain, write_json
from .setting_up import read_skills
from .showing import say


def explain_code(code: str, modules: Sequence[str], json: bool) -> int:
    """Write everything that is known of a code; returns the exit code. Raises CallError for an unknown one."""
    entry = _catalog(modules).entry(code)
    if json:
        write_json(entry.to_json())
        return OK
    screen = console()
    say(screen, "code", entry.code, "bold")
    say(screen, "means", entry.meaning)
    say(screen, "category", f"{entry.category}, {_again(entry)}")
    say(screen, "recovery", entry.recovery)
    say(screen, "do", entry.suggestion)
    if entry.retryable:
        say(screen, "retries", f"{settings(entry)} (advice: a step that says nothing is tried once)")
    say(screen, "HTTP", str(entry.http_status))
    if entry.documentation:
        say(screen, "read", entry.documentation)
    return OK


def explain_codes(category: str | None, modules: Sequence[str], markdown: bool, json: bool) -> int:
    """Write the catalog as a table, a document or JSON lines; returns the exit code. Raises CallError."""
    if category is not None and category not in list(Category):
        raise CallError(Problem("", f"no category is called {category[:40]!a}", f"use one of {', '.join(Category)}"))
    catalog = _catalog(modules)
    entries = [entry for entry in catalog if category in (None, entry.category)]
    if json:
        for entry in entries:
            write_json(entry.to_json())
    elif markdown:
        sys.stdout.write("\n".join(document(catalog, category)) + "\n")
    else:
        table = Table("code", "category", "again", "recovery", "meaning", box=SIMPLE_HEAD, pad_edge=False)
        table.columns[0].overflow = "fold"
        for entry in entries:
            again = "yes" if entry.retryable else "no"
            table.add_row(plain(entry.code), entry.category, again, entry.recovery, plain(entry.meaning))
        console().print(table)
    return OK


def write_schema() -> int:
    """Write the JSON Schema of the catalog; returns the exit code."""
    sys.stdout.write(json_module.dumps(CATALOG_SCHEMA, indent=2) + "\n")
    return OK


def settings(entry: CatalogEntry) -> str:
    """The recommended policy, as a step of a spec has it."""
    retry = entry.retry
    pauses = f"initial_seconds: {retry.initial_seconds:g}, multiplier: {retry.multiplier:g}"
    return f"max_retries: {retry.max_attempts - 1}, retry: {{{pauses}, max_seconds: {retry.max_seconds:g}}}"


def document(catalog: FailureCatalog, category: str | None = None) -> Iterator[str]:
    """The catalog as lines of Markdown: `docs/failures.md` for Refold's own."""
    yield _PREFACE
    for theme, entries in {**THEMES, "Your own": catalog.own()}.items():
        chosen = [entry for entry in entries if category in (None, entry.category)]
        if chosen:
            yield f"## {theme}\n"
        for entry in chosen:
            yield f"### {entry.code}\n\n{entry.meaning}\n"
            yield f"- {entry.category}, {_again(entry)}; recovery `{entry.recovery}`; HTTP status {entry.http_status}."
            if entry.retryable:
                yield f"- Advice: `{settings(entry)}`."
            yield f"- What to do: {_marked(entry.suggestion)}.\n"


def _catalog(modules: Sequence[str]) -> FailureCatalog:
    return read_skills(modules).failures() if modules else FailureCatalog()


def _again(entry: CatalogEntry) -> str:
    return "can be tried again" if entry.retryable else "another attempt would fail the same way"


def _marked(text: str) -> str:
    """`text` for Markdown: what stands between angle brackets or has a * would be read as something else."""
    return text.replace("*", r"\*").replace("<", "&lt;").removesuffix(".")


_PREFACE = """\
# The failure catalog

Every step and every run that fails carries a code of this catalog, and so does every error that a command or the server
reports. `make docs` writes this page from the catalog, `refold explain` shows the same:

<!-- test -->
```bash
refold explain
refold explain STEP_TIMEOUT
refold explain --category PERMISSION --json | grep FILE_DENIED
refold explain STEP_TIMOUT && exit 1 || test $? = 2   # did you mean STEP_TIMEOUT?
```

- **Category**: what kind of thing went wrong. `TRANSIENT` passes by itself, `RESOURCE` is short of something,
  `PERMISSION` was not allowed, `VALIDATION` was given something wrong, `PERMANENT` is none of these and stays.
- **Another attempt**: whether one can help. A step is tried again only if it says so (`max_retries`), or its skill
  does (`retry`): the policy that stands here as advice is never used by itself. A code for which no other attempt can
  help ends the step at once, whatever it says; `Failure(…, retryable=True)` overrules that for one failure.
- **Recovery**: `retry` (try again soon), `retry_later` (when something is free or back), `fix_input` (change what was
  given), `fix_config` (change settings, rights, what is installed), `ask_person` (somebody must decide), `fork` (mend
  the code, go on in a new run), `give_up` (it was decided so).
- **HTTP status**: that of an answer which reports it; see [the API](api.md#problems).

[Skills](skills.md#failing) and workflow functions add codes of their own with a `FailureCatalog`. `refold explain CODE
--skills MODULE` finds them, `--markdown` writes a page like this one, and
[a JSON Schema](failures.schema.json) describes what `--json` gives, as an array. `refold failures` counts what has
failed; see [projections](projections.md).
"""
