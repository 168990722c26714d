"""What this is run on: Python, the database, and the packages whose versions must fit."""

from __future__ import annotations

import re
import shlex
import sqlite3
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions

from ...core.checks import Check
from .patient import Patient

PYTHON = (3, 11)
SQLITE = (3, 37, 0)
POSTGRES = 14
"""The oldest versions that are supported."""

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[[^]]*\])?\s*\(?([^;)]*)\)?\s*(?:;(.*))?")
_CLAUSE = re.compile(r"(===|==|~=|!=|<=|>=|<|>)\s*([^\s]+)")


def runtime(_patient: Patient) -> list[Check]:
    """`runtime:python` and `runtime:sqlite`: new enough."""
    python, sqlite = ".".join(map(str, sys.version_info[:3])), sqlite3.sqlite_version
    oldest = ".".join(map(str, PYTHON))
    least = ".".join(map(str, SQLITE))
    checks = [Check("runtime:python", "ok", detail=python), Check("runtime:sqlite", "ok", detail=sqlite)]
    if sys.version_info < PYTHON:
        fix = f"python{oldest} -m venv .venv"
        checks[0] = Check("runtime:python", "failed", detail=f"Python {python} is older than {oldest}", fix=fix)
    if sqlite3.sqlite_version_info < SQLITE:
        detail = f"SQLite {sqlite} is older than {least}; it comes with Python or the system"
        checks[1] = Check("runtime:sqlite", "failed", detail=detail, fix="apt-get install --only-upgrade libsqlite3-0")
    return checks


def database(patient: Patient) -> list[Check]:
    """`server`: PostgreSQL is new enough, and takes writes."""
    if not patient.is_postgres:
        return []
    ((number, name, standby),) = patient.ask(
        "SELECT current_setting('server_version_num')::int, current_setting('server_version'), pg_is_in_recovery()"
    )
    if standby:
        detail = f"PostgreSQL {name} is a standby, which takes no writes: name the primary in the URL"
        return [Check("server", "failed", detail=detail, fix='export REFOLD_DATABASE_URL="postgresql://…"')]
    if number < POSTGRES * 10_000:
        detail = f"PostgreSQL {name} is older than {POSTGRES}"
        return [Check("server", "failed", number // 10_000, POSTGRES, "version", detail, "pg_upgradecluster")]
    return [Check("server", "ok", number // 10_000, POSTGRES, "version", f"PostgreSQL {name}")]


def packages(_patient: Patient) -> Check:
    """`packages`: what is installed fits what this program was tested with."""
    try:
        own = distribution("refold")
    except PackageNotFoundError:
        return Check("packages", "ok", detail="Refold itself is not installed as a package")
    wrong = list(_misfits(own))
    if not wrong:
        return Check("packages", "ok", 0, 0, "misfits")
    told = ", ".join(f"{name} {found or 'is missing'} (needs {wanted})" for name, found, wanted in wrong)
    fix = "pip install " + " ".join(shlex.quote(f"{name}{wanted}") for name, _, wanted in wrong)
    return Check("packages", "failed", len(wrong), 0, "misfits", told, fix)


_TELEMETRY = "opentelemetry-"


def telemetry(_patient: Patient) -> Check:
    """`telemetry`: the packages of OpenTelemetry, which pin each other, are of one release."""
    names = {_normal(each.name or "") for each in distributions()}
    found = {name: distribution(name) for name in names if name.startswith(_TELEMETRY)}
    if f"{_TELEMETRY}sdk" not in found:
        return Check("telemetry", "ok", detail="not installed: traces are off")
    wrong = [
        (owner, name, version, wanted)
        for owner, each in sorted(found.items())
        for name, version, wanted in _misfits(each)
        if name.startswith(_TELEMETRY)
    ]
    if not wrong:
        return Check("telemetry", "ok", detail=f"sdk {found[f'{_TELEMETRY}sdk'].version}")
    owner, name, version, wanted = wrong[0]
    detail = f"{owner} {found[owner].version} needs {name}{wanted}, {version or 'nothing'} is installed"
    packages = " ".join(map(shlex.quote, sorted(found)))
    fix = f"pip install --upgrade --upgrade-strategy eager {packages}"
    return Check("telemetry", "failed", len(wrong), 0, "misfits", detail, fix)


def _misfits(of: Distribution) -> Iterator[tuple[str, str | None, str]]:
    """The packages that a distribution needs and whose installed version is none that it takes."""
    for text in of.requires or ():
        found = _REQUIREMENT.match(text)
        if found is None or "extra" in (found[3] or ""):
            continue
        name, wanted = _normal(found[1]), found[2].replace(" ", "")
        if found[3] and not name.startswith(_TELEMETRY):
            continue  # It may be needed elsewhere only.
        try:
            version = distribution(name).version
        except PackageNotFoundError:
            version = None
        if version is None or not fits(version, wanted):
            yield name, version, wanted


def fits(version: str, wanted: str) -> bool:
    """Whether `version` is one of `wanted`, clauses joined by commas as in PEP 440; of it as much as pins need."""
    return all(_fits(version, *clause) for clause in _CLAUSE.findall(wanted.replace(",", " ")))


def _fits(version: str, sign: str, bound: str) -> bool:
    if sign in ("==", "===") and not bound.endswith(".*"):
        return version == bound or _numbers(version) == _numbers(bound)
    if sign == "==":
        return version.startswith(bound[:-1])
    if sign == "~=":
        begins = bound.rpartition(".")[0]
        return _numbers(version) >= _numbers(bound) and version.startswith(f"{begins}.")
    if sign == "!=":
        return version != bound
    mine, its = _numbers(version), _numbers(bound)
    return {"<": mine < its, "<=": mine <= its, ">": mine > its, ">=": mine >= its}[sign]


def _numbers(version: str) -> tuple[int, ...]:
    numbers = tuple(map(int, re.findall(r"\d+", version.partition("+")[0])))
    while numbers and numbers[-1] == 0:
        numbers = numbers[:-1]
    return numbers


def _normal(name: str) -> str:
    """As PEP 503 compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()
