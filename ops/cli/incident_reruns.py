"""`refold incident rerun`: a run proved again and again, in fresh processes, to see whether it is stable."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
from rich.text import Text

from ...compose import database_url
from ...core.differences import differences
from ...core.errors import RefoldError, RunNotFoundError
from ...core.ids import check_run_id, check_tenant, stream_of
from .divergences import VERDICT_STYLES
from .faults import BROKEN, DIVERGED, INVALID, OK
from .output import console, plain, write_json
from .progress import watched
from .reading import existing_store, read_skills

_MOST_SHOWN = 20


class Rerun(NamedTuple):
    """What `incident rerun` was given; a proof may take `limit` seconds."""

    run_id: str
    times: int
    skills: Sequence[str]
    limit: float
    tenant: str
    database: str | None


def rerun(wanted: Rerun, json: bool) -> int:
    """Prove the run so many times; returns the exit code."""
    check_run_id(wanted.run_id)
    check_tenant(wanted.tenant)
    read_skills(wanted.skills)
    with existing_store(wanted.database) as store:
        if not store.heads([stream_of(wanted.tenant, wanted.run_id)]):
            raise RunNotFoundError(f"no run {wanted.run_id!r} of tenant {wanted.tenant!r}")
    proofs: list[dict[str, Any]] = []
    with watched("proving") as tell:
        for number in range(1, wanted.times + 1):
            proofs.append(_proof(wanted))
            tell(number, wanted.times)
    verdicts = Counter(str(each["verdict"]) for each in proofs)
    places = _places(proofs)
    stable = not places
    if json:
        for number, each in enumerate(proofs, 1):
            write_json({"try": number, **each})
        write_json({"run_id": wanted.run_id, "tenant": wanted.tenant, "times": wanted.times, "stable": stable,
                    "verdicts": dict(verdicts), "differs": places})  # fmt: skip
    else:
        _tell(wanted, proofs[0], verdicts, places)
    if "broken" in verdicts:
        return BROKEN
    if not stable or "diverged" in verdicts:
        return DIVERGED
    return INVALID if "not_verifiable" in verdicts else OK


def _proof(wanted: Rerun) -> dict[str, Any]:
    """What a process of its own says, with a hash seed and memory of its own. Raises RefoldError."""
    words = ["replay", wanted.run_id, "--tenant", wanted.tenant, "--json"]
    words += [word for module in wanted.skills for word in ("--skills", module)]
    # The URL may hold a password, which everybody could read in a command.
    environment = {**os.environ, "REFOLD_DATABASE_URL": database_url(wanted.database), "PYTHONHASHSEED": "random"}
    command = [sys.executable, "-P", "-m", "refold", *words]
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=wanted.limit
        )
    except subprocess.TimeoutExpired:
        raise RefoldError(f"the proof had not ended after {wanted.limit:g} s; see --limit") from None
    try:
        told: dict[str, Any] = orjson.loads(done.stdout.splitlines()[-1])
        if "verdict" in told:
            return told
        why = str(told["error"]["message"])
    except (ValueError, LookupError, TypeError):
        why = (done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    raise RefoldError(f"the proof failed: {why}")


def _places(proofs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where the proofs are not all the same: the pointer into them, and what the tries say there."""
    found: dict[str, list[str]] = {}
    for each in proofs[1:]:
        for place in differences(proofs[0], each):
            said = found.setdefault(place.pointer, [place.left])
            if place.right not in said:
                said.append(place.right)
    return [{"pointer": pointer, "said": said[:_MOST_SHOWN]} for pointer, said in sorted(found.items())[:_MOST_SHOWN]]


def _tell(wanted: Rerun, first: dict[str, Any], verdicts: Counter[str], places: Sequence[dict[str, Any]]) -> None:
    screen = console()
    head = Text("not stable", "bold red") if places else Text("stable", "bold green")
    counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
    screen.print(head.append(plain(f"  {wanted.run_id}  {wanted.times} proofs: {counts}"), "not bold default"))
    for each in places:
        screen.print(plain(f"  {each['pointer']}: {' | '.join(each['said'])}"), soft_wrap=True)
    for name, result in first["proofs"].items():
        found = result.get("divergence")
        if found is not None:
            style = VERDICT_STYLES[result["verdict"]]
            line = Text(f"  {name} is {result['verdict']}: ", style).append(plain(found["message"]), "not bold default")
            screen.print(line, soft_wrap=True)
