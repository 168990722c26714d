"""`refold specs`: the registry of specs."""

from __future__ import annotations

import getpass
import json as jsonlib
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import orjson
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from ...compose import WorkflowEngine, open_store
from ...core.catalog import parse_name
from ...core.errors import CallError, InvalidError, Problem
from ...core.ids import check_tenant
from ...core.runtime.admission import MAX_LABEL, check_text
from ...core.runtime.specs import Registered
from ..settings import store_patience
from .faults import OK
from .output import clock, console, iso, plain, write_json
from .reading import existing_store, read_spec
from .signals import run_until_stopped
from .streams import note


def put_specs(files: Sequence[str], by: str | None, tenant: str, database: str | None, json: bool) -> int:
    """Register the specs in `files`, once all of them were read without a fault; returns the exit code."""
    check_tenant(tenant)
    who = login() if by is None else check_text("--by", by, MAX_LABEL)
    specs = [read_spec(file) for file in files]
    patience = store_patience()

    async def work() -> None:
        async with WorkflowEngine(store, patience=patience) as engine:
            for file, spec in zip(files, specs, strict=True):
                try:
                    registered = await engine.specs.put(spec, who, tenant)
                except InvalidError as error:
                    error.add_note("stdin" if file == "-" else file)
                    raise
                _tell_put(registered, json)

    with closing(open_store(database)) as store:
        run_until_stopped(work)
    return OK


def _tell_put(registered: Registered, json: bool) -> None:
    if json:
        write_json({**_as_json(registered), "new": registered.new})
    else:
        verb = "registered" if registered.new else "unchanged"
        told = f"{verb:<10}  {registered.workflow_type}#{registered.version}  {registered.spec_hash}"
        console().print(told, soft_wrap=True)


def list_specs(workflow_type: str | None, tenant: str, database: str | None, json: bool) -> int:
    """Write what is registered; returns the exit code."""
    check_tenant(tenant)
    patience = store_patience()

    async def work() -> Sequence[Registered]:
        async with WorkflowEngine(store, patience=patience) as engine:
            return await engine.specs.list(tenant)

    with existing_store(database) as store:
        found = [each for each in run_until_stopped(work) if workflow_type in (None, each.workflow_type)]
    if json:
        for registered in found:
            write_json(_as_json(registered))
    elif found:
        console().print(_table(found))
    else:
        note("no specs are registered")
    return OK


def show_spec(name: str, version: str | None, tenant: str, database: str | None, json: bool) -> int:
    """Write the spec; returns the exit code. As JSON the line's bytes, without its end, are what was hashed."""
    check_tenant(tenant)
    workflow_type, named = parse_name(name)
    if named is not None and version is not None:
        raise CallError(Problem("", f"{name!r} has a version already", "give it once: TYPE#VERSION or --version"))
    patience = store_patience()

    async def work() -> Registered:
        async with WorkflowEngine(store, patience=patience) as engine:
            return await engine.specs.get(workflow_type, named if version is None else version, tenant)

    with existing_store(database) as store:
        registered = run_until_stopped(work)
    if json:
        write_json(orjson.Fragment(registered.payload.data))
        return OK
    # Comments of YAML, of which JSON is a part: the whole can be registered again.
    latest = ", the latest" if registered.latest else ""
    by = f" by {registered.by}" if registered.by else ""
    screen = console()
    for line in (
        f"# {registered.workflow_type}, version {registered.version}{latest}",
        f"# registered {clock(registered.at)} UTC{by}",
        f"# sha256 {registered.spec_hash}",
    ):
        screen.print(Text(plain(line), "dim"), soft_wrap=True)
    for line in jsonlib.dumps(registered.payload.value, indent=2, ensure_ascii=False).split("\n"):
        screen.print(_escaped(line), soft_wrap=True)
    return OK


def _escaped(line: str) -> str:
    """A line of JSON with JSON's own escapes for what a terminal would obey."""
    return "".join(c if c.isprintable() else jsonlib.dumps(c)[1:-1] for c in line)


def login() -> str:
    """Who is logged in, "" when nobody is."""
    try:
        return check_text("the login name", getpass.getuser(), MAX_LABEL)
    except (OSError, KeyError, ImportError, CallError):  # nobody is logged in, as in many containers
        return ""


def _as_json(registered: Registered) -> dict[str, Any]:
    return {
        "tenant": registered.tenant,
        "workflow_type": registered.workflow_type,
        "version": registered.version,
        "latest": registered.latest,
        "spec_hash": registered.spec_hash,
        "registered_at": iso(registered.at),
        "by": registered.by,
    }


def _table(found: Sequence[Registered]) -> Table:
    table = Table("workflow", "version", "", "hash", "registered (UTC)", "by", box=SIMPLE_HEAD, pad_edge=False)
    table.columns[0].overflow = table.columns[1].overflow = "fold"
    for each in found:
        latest = Text("latest" if each.latest else "", "green")
        hash_ = each.spec_hash[:16]
        table.add_row(plain(each.workflow_type), plain(each.version), latest, hash_, clock(each.at), plain(each.by))
    return table
