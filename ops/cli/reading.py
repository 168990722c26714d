"""What a command is given: the spec, the inputs, the skills, the database."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ...compose import check_process_policy, database_url, open_store
from ...core.catalog import is_name, parse_name
from ...core.documents import MAX_DOCUMENT_BYTES, parse_document, parse_json
from ...core.errors import CallError, InvalidError, Problem, SpecNotFoundError
from ...core.limits import Limits
from ...core.policy.document import Policy
from ...core.runtime.admission import first_event
from ...core.runtime.engine import Engine, Runnable
from ...core.runtime.policy_file import read_policy
from ...core.runtime.registry import SkillRegistry
from ...core.spec import WorkflowSpec
from ...eventstore.memory import MemoryStore
from ...eventstore.store import Store
from .origins import Origin
from .streams import note


def read_spec(source: str) -> WorkflowSpec:
    """The spec in a file of JSON or YAML, or on stdin for `-`. Raises InvalidError."""
    try:
        return WorkflowSpec.parse(parse_document(read_bytes(source, "the spec"), name=source))
    except InvalidError as error:
        error.add_note("stdin" if source == "-" else source)
        raise


def read_spec_or_name(source: str, version: str | None) -> WorkflowSpec | str:
    """The spec in a file, or the name of a registered one, for `resolved`: where there is no such file, or with a
    version. Raises InvalidError."""
    if version is not None and "#" not in source:
        parse_name(named := f"{source}#{version}")
        return named
    if version is not None:
        raise CallError(Problem("", f"{source!r} has a version already", "give it once: TYPE#VERSION or --version"))
    is_file = source == "-" or (os.path.lexists(source) and not os.path.isdir(source))
    means_file = source.endswith((".json", ".yaml", ".yml")) and not os.path.isdir(source)
    return read_spec(source) if is_file or means_file or not is_name(source) else source


async def resolved(spec: WorkflowSpec | str, engine: Engine, tenant: str) -> Runnable:
    """What is to run here: the spec, or what is registered under its name. Raises SpecNotFoundError, which says of a
    name without a version that there is no such file either."""
    try:
        await engine.target(spec, tenant, here=True)
        return spec
    except SpecNotFoundError as error:
        raise _neither(str(spec), error.problems) from None


@contextmanager
def store_for(spec: WorkflowSpec | str, url: str | None, skills: SkillRegistry | None = None) -> Generator[Store]:
    """The store for a run of `spec`, made if it is not there; for the name of a registered spec it must be.

    `skills` holds the workflow functions that can be run here; without it, anything may be one that workers know.
    Closed at the end.
    """
    is_spec = isinstance(spec, str) and skills is not None and skills.workflow(parse_name(spec)[0]) is None
    if is_spec and (missing := missing_file(url)) is not None:
        raise _neither(str(spec), [Problem("", f"there is no database {missing} of registered specs")])
    with closing(open_store(url)) as store:
        yield store


def _neither(name: str, problems: Sequence[Problem]) -> SpecNotFoundError:
    no_file = "Is a directory" if os.path.isdir(name) else "No such file or directory"
    why = "" if "#" in name else f"the spec cannot be read: {no_file}, and "
    return SpecNotFoundError([problem._replace(reason=why + problem.reason) for problem in problems])


def read_inputs(argument: str | None) -> Any:
    """The inputs: JSON, or `@` and the name of a file of JSON or YAML; None for none. Raises InvalidError."""
    return _read_value(argument, "the inputs", "--inputs", "/inputs")


def read_payload(argument: str | None) -> Any:
    """A signal's payload, given as inputs are, but any JSON value; None for none. Raises InvalidError."""
    return _read_value(argument, "the payload", "--payload", "/payload")


def read_arguments(argument: str | None) -> Any:
    """A query's arguments, given as inputs are; None for none. Raises InvalidError."""
    return _read_value(argument, "the arguments", "--arguments", "/arguments")


def read_change(argument: str, pointer: str) -> Any:
    """A value that a fork gets at `pointer`, given as inputs are. Raises InvalidError."""
    return _read_value(argument, "the value", f"--set {pointer}", "")


def _read_value(argument: str | None, what: str, option: str, pointer: str) -> Any:
    if argument is None:
        return None
    limit = Limits().payload_bytes
    try:
        if argument.startswith("@"):
            return parse_document(read_bytes(argument[1:], what), name=argument[1:], max_bytes=limit)
        return parse_json(argument, max_bytes=limit)
    except InvalidError as error:
        error.problems = tuple(p._replace(pointer=f"{pointer}{p.pointer}") for p in error.problems)
        error.args = ("; ".join(map(str, error.problems)),)
        error.add_note(option)
        raise


def read_skills(modules: Sequence[str]) -> SkillRegistry:
    """The ready skills and those of `modules`, by dotted name (also from the current folder) or .py file."""
    registry = SkillRegistry()
    if modules and str(Path.cwd()) not in sys.path:
        # At the end: a file here must not take the place of an installed module.
        sys.path.append(str(Path.cwd()))
    for module in modules:
        registry.load_module(module)
    return registry


def read_policy_of(origin: Origin) -> Policy | None:
    """The policy that a run is to be started under. Raises CallError."""
    return None if origin.policy is None else read_policy(Path(origin.policy))


def check_call(
    spec: WorkflowSpec, inputs: Any, run_id: str, seed: int, tenant: str, origin: Origin, skills: SkillRegistry | None
) -> None:
    """All that the engine will check, before the database is so much as opened. Raises InvalidError."""
    agent, source = origin.agent, origin.source
    first_event(spec, run_id, seed, inputs, agent, tenant, source=source, skills=skills, limits=Limits(), at=0)
    check_process_policy()


@contextmanager
def existing_store(url: str | None, *, migrate: bool = False) -> Generator[Store]:
    """The store as it is, closed at the end. Where a SQLite file is missing none is made: an empty store stands in."""
    missing = missing_file(url)
    if missing is not None:
        note(f"note: there is no database {missing}; choose one by --database or REFOLD_DATABASE_URL")
    with closing(MemoryStore() if missing is not None else open_store(url, migrate=migrate)) as store:
        yield store


def missing_file(url: str | None) -> Path | None:
    """The file of a SQLite URL, if there is no such file."""
    scheme, _, rest = database_url(url).partition(":")
    path = Path(unquote(rest[3:])) if scheme == "sqlite" and rest.startswith("///") and len(rest) > 3 else None
    return path if path is not None and not path.exists() else None


def read_bytes(source: str, what: str) -> bytes:
    """At most one byte more than a document may have: whoever parses it sees that it is too large."""
    try:
        if source == "-":
            if sys.stdin.isatty():
                note(f"reading {what} from the terminal; Ctrl-D ends it")
            return sys.stdin.buffer.read(MAX_DOCUMENT_BYTES + 1)
        with open(source, "rb") as file:
            return file.read(MAX_DOCUMENT_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CallError(Problem("", f"{what} cannot be read: {reason}", "name a file of JSON or YAML")) from None
