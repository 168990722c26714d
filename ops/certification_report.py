"""The report of a certification: `report.json`, signed where there is a key, beside what it stands on.

The report names the SHA-256 of every file that is kept with it, so one signature is over all. `completion-report.md`
says the same for people, who write into it; nothing is proved by it.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import file_digest, sha256
from pathlib import Path
from string import Template
from typing import Any, cast

from ..compose import BUILD
from ..core.checks import Check, overall
from ..core.errors import CallError, Problem
from ..replay.certificate import MOST_BYTES, Checked, Signs, Verifies, certificate, check_signed
from .certification import DOCUMENTS

FORMAT = "refold.certification.v1"
"""The first line of what is signed."""

REPORT, COMPLETION = "report.json", "completion-report.md"
"""The files about all others."""


def new_folder(folder: Path) -> None:
    """Make the folder, if there is nothing in it yet. Raises CallError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        empty = not any(folder.iterdir())
    except OSError as error:
        reason = f"the folder {folder} cannot be made: {error.strerror}"
        raise CallError(Problem("", reason, "name another one by --out")) from None
    if not empty:
        raise CallError(Problem("", f"the folder {folder} is not empty", "name another one by --out"))


def keep_evidence(simulation: Path, folder: Path) -> None:
    """Copy the simulation's summary and goldens, as far as they are there. Raises OSError."""
    if (simulation / "summary.json").exists():
        shutil.copyfile(simulation / "summary.json", folder / "summary.json")
    if (simulation / "goldens").is_dir():
        shutil.copytree(simulation / "goldens", folder / "goldens")


def write_report(folder: Path, checks: Sequence[Check], by: str, at: str, key: Signs | None) -> dict[str, Any]:
    """Write both files about `checks` and what is in `folder`; returns the report's body. Raises OSError."""
    counts = Counter(check.state for check in checks)
    body: dict[str, Any] = {
        "format": FORMAT,
        "verdict": "not certified" if overall(checks) == "failed" else "certified",
        "at": at,
        "by": by,
        "build": BUILD,
        "items": [check.to_json() for check in checks],
        "counts": {state: counts[state] for state in ("ok", "warning", "failed")},
        "files": _hashes(folder),
    }
    data = certificate(body, at, key)
    (folder / REPORT).write_bytes(data)
    signed = f"by the key {key.name}" if key else "no"
    filled = _filled(body, signed, sha256(data).hexdigest())
    (folder / COMPLETION).write_text(filled, encoding="utf-8")
    return body


def check_report(folder: Path, key: Verifies | None) -> Checked:
    """Whether the report is as it was written, by `key`, and the files are those that it names: else `altered`."""
    try:
        with (folder / REPORT).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        reason = f"{folder / REPORT} cannot be read: {error.strerror}"
        raise CallError(Problem("", reason, "name the folder that refold certify has written")) from None
    found = check_signed(data, key, FORMAT)
    if found.body is None:
        return found
    there = _hashes(folder)
    try:
        named, _ = cast("dict[str, Any]", found.body["files"]).copy(), str(found.body["verdict"])
    except (KeyError, AttributeError):
        return Checked("malformed", "something is missing in it")
    differ = sorted(name for name in named.keys() | there.keys() if named.get(name) != there.get(name))
    if differ:
        return Checked("altered", f"{len(differ)} files are not what the report names, such as {differ[0]}")
    return found


def _hashes(folder: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in (REPORT, COMPLETION):
            with path.open("rb") as file:
                found[name] = file_digest(file, "sha256").hexdigest()
    return found


def _filled(body: Mapping[str, Any], signed: str, digest: str) -> str:
    """The template of the completion report with what is known written into it."""
    rows = [
        f"| {number} | {_cell(item['name'])} | {item['state']} | {_cell(item['detail'])} |"
        for number, item in enumerate(body["items"], 1)
    ]
    wrong = [item for item in body["items"] if item["state"] != "ok"]
    open_ = [f"- {item['name']}: {item['detail']} ({item['fix'] or 'nothing to be done'})" for item in wrong]
    template = (DOCUMENTS / COMPLETION).read_text(encoding="utf-8")
    return Template(template).safe_substitute(
        verdict=body["verdict"], at=body["at"], by=_cell(body["by"]), build=_cell(body["build"]), signed=_cell(signed),
        digest=digest, files=str(len(body["files"])), items="\n".join(rows), open="\n".join(open_) or "Nothing.",
        **body["counts"],
    )  # fmt: skip


def _cell(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text).replace("|", "\\|")
