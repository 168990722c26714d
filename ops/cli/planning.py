"""`refold plan check`: what the sandbox says of a plan, or of a plan a line."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from ...core.documents import parse_document, parse_json
from ...core.errors import DocumentError, InvalidError
from ...core.sandbox.planner import PlannerSandbox
from ...core.sandbox.report import SandboxFinding, SandboxReport
from ...core.sandbox.rules import SandboxRules
from .faults import INVALID, OK, REFUSED
from .output import console, plain, write_json
from .plan_lines import plan_lines
from .reading import read_bytes


def check_plans(file: str, rules: str | None, explain: bool, json: bool) -> int:
    """Write the verdict on each plan; returns the exit code: the worst, where refused is worse than invalid."""
    sandbox = PlannerSandbox(_rules(rules))
    codes = {OK}
    for report in _reports(sandbox, file, explain, json):
        codes.add(_code(report))
        if json:
            write_json(report.to_json())
        else:
            _tell(report)
    return next(code for code in (REFUSED, INVALID, OK) if code in codes)


def _rules(file: str | None) -> SandboxRules | None:
    if file is None:
        return None
    try:
        return SandboxRules.parse(parse_document(read_bytes(file, "the rules"), name=file))
    except InvalidError as error:
        error.add_note(file)
        raise


def _reports(sandbox: PlannerSandbox, file: str, explain: bool, json: bool) -> Iterator[SandboxReport]:
    if file != "-" or not json:
        try:
            document = parse_document(read_bytes(file, "the plan"), name=file)
        except DocumentError as error:
            error.add_note("stdin" if file == "-" else file)
            raise
        yield sandbox.validate(document, explain=explain)
        return
    for line in plan_lines():
        try:
            yield sandbox.validate(parse_json(line), explain=explain)
        except DocumentError as error:
            found = [SandboxFinding("plan.invalid", "violation", each.pointer, each.reason) for each in error.problems]
            yield SandboxReport(tuple(found), (), sandbox.rules.version)


def _code(report: SandboxReport) -> int:
    if report.valid:
        return OK
    return INVALID if all(found.rule == "plan.invalid" for found in report.violations) else REFUSED


def _tell(report: SandboxReport) -> None:
    screen = console()
    for style, found in [
        *(("red", each) for each in report.violations),
        *(("yellow", each) for each in report.warnings),
    ]:
        line = Text(f"{found.severity}  {found.rule}", style)
        line.append(f"  {plain(found.pointer) or '(whole)'}: {plain(found.why)}", "default")
        screen.print(line, soft_wrap=True)
        if found.excerpt:
            screen.print(Text(f"    {found.excerpt}", "dim"), soft_wrap=True)
        if found.path:
            screen.print(Text(f"    decoded: {' > '.join(found.path)}", "dim"), soft_wrap=True)
    verdict = "valid" if report.valid else "refused" if _code(report) == REFUSED else "invalid"
    screen.print(f"{verdict} (rules {plain(report.rules_version)})", soft_wrap=True)
