"""`refold deploy-check`: whether the code that is to be deployed goes on with the runs that are open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from rich.text import Text

from ...core.errors import CallError, Problem, StoreUnreachableError
from ...core.ids import check_tenant
from ...replay.deploying import Deployment, check_open_runs, open_streams
from .faults import DIVERGED, OK
from .output import console, plain, stdout_for_json_only, write_json
from .progress import watched
from .reading import existing_store, missing_file, read_skills

_STYLES = {"safe": "green", "patch": "bold red", "parked": "yellow", "unknown": "yellow"}
_SAID = {"safe": "safe", "patch": "needs a patch", "parked": "parked already", "unknown": "unknown"}


def check_deployment(
    modules: Sequence[str],
    workflow_type: str | None,
    junit: str | None,
    tenant: str | None,
    database: str | None,
    json: bool,
) -> int:
    """Write the verdicts on open runs that are not safe (as JSON: on all); returns the exit code."""
    if tenant is not None:
        check_tenant(tenant)
    if (missing := missing_file(database)) is not None:
        # Whoever asks the wrong database must not be told that all is well.
        raise StoreUnreachableError(f"there is no database {missing}")
    found: list[Deployment] = []
    with stdout_for_json_only(json):
        skills = read_skills(modules)
        with existing_store(database) as store, watched("driving open runs") as told:
            streams = open_streams(store, tenant)
            for number, verdict in enumerate(check_open_runs(store, streams, skills, workflow_type), 1):
                told(number, len(streams))
                if verdict is not None:
                    found.append(verdict)
                    _tell(verdict, json)
    counts = Counter(each.verdict for each in found)
    safe = counts["safe"] == len(found)
    if junit is not None:
        _write_junit(Path(junit), found)
    if json:
        write_json({"ok": safe, "runs": len(found), **{kind: counts[kind] for kind in _SAID}})
    else:
        head = Text("safe" if safe else "not safe", "bold green" if safe else "bold red")
        parts = [f"{counts[kind]} {said}" for kind, said in _SAID.items() if counts[kind]]
        console().print(head.append(f"  {', '.join(parts) or 'no runs are open'}", "not bold default"), soft_wrap=True)
    return OK if safe else DIVERGED


def _tell(verdict: Deployment, json: bool) -> None:
    if json:
        write_json(verdict.to_json())
        return
    if verdict.verdict == "safe":
        return
    screen = console()
    version = f", version {verdict.workflow_version}" if verdict.workflow_version else ""
    head = Text(f"{_SAID[verdict.verdict]}", _STYLES[verdict.verdict])
    about = f"  {plain(verdict.run_id)} of {plain(verdict.workflow_type or '?')}{plain(version)}"
    screen.print(head.append(about, "not bold default"), soft_wrap=True)
    where = [f"event {verdict.event}"] if verdict.event is not None else []
    where += [verdict.step_id] if verdict.step_id is not None else []
    for name, text in (
        ("why", verdict.reason),
        ("where", ", ".join(where)),
        ("code", verdict.place),
        ("write", verdict.fix),
    ):
        if text:
            screen.print(Text(f"  {name:<6} ", "dim").append(plain(text), "not dim"), soft_wrap=True)


def _write_junit(path: Path, found: Sequence[Deployment]) -> None:
    """The verdicts as tests: what needs a patch or is parked has failed, what is unknown is an error."""
    counts = Counter(each.verdict for each in found)
    failures, errors = counts["patch"] + counts["parked"], counts["unknown"]
    about = {"tests": str(len(found)), "failures": str(failures), "errors": str(errors)}
    suite = ElementTree.Element("testsuite", {"name": "refold deploy-check", **about})
    for each in found:
        name = {"classname": plain(f"{each.workflow_type}#{each.workflow_version}"), "name": each.run_id}
        case = ElementTree.SubElement(suite, "testcase", name)
        if each.verdict != "safe":
            kind = "error" if each.verdict == "unknown" else "failure"
            short = {"type": each.verdict, "message": plain(each.reason)[:500]}
            lines = [plain(str(text)) for text in (each.reason, each.place, each.fix) if text]
            ElementTree.SubElement(case, kind, short).text = "\n".join(lines)
    try:
        ElementTree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise CallError(Problem("", f"--junit {path} cannot be written: {error.strerror}", "name a file")) from None
