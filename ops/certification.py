"""The twenty items of docs/ops/certification.md, each filled in from a real check.

The first five look at the installation itself, and change nothing. The others are tried on a store of their own
(`Scratch`), and on the rules and the runbook as they were installed.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ..core.checks import Check, overall
from ..core.documents import parse_yaml
from ..core.errors import RefoldError
from . import tabletop
from .scratch import Scratch

DOCUMENTS = Path(__file__).parent.parent / "docs/ops"
"""The documents of operations, as they are installed."""

RULES = Path(__file__).parent / "alerts/refold.yaml"
"""The alerts."""

KINDS = ""
"""The workflows of the simulation: all kinds."""

PREFLIGHT: dict[str, frozenset[str]] = {
    "store": frozenset({"store", "server", "schema", "clock"}),
    "durability": frozenset({"durability", "sync", "chain"}),
    "keys": frozenset({"keys", "golden-key", "goldens", "folders"}),
    "service": frozenset(
        {"projections", "parked", "leases", "workers", "queues", "webhooks", "emergency", "tree"}
    ),
    "host": frozenset({"disk", "policy", "settings", "runtime", "packages", "telemetry", "open-files"}),
}  # fmt: skip
"""What the doctor looks at, by item. Not its port: there may be a server, or none yet."""

_OPTIONAL = frozenset({"keys", "golden-key", "goldens", "tree", "policy", "server"})
"""Of these the doctor says nothing where there is no such thing."""

_PARTS = ("Means", "Look", "Cure", "Over")


class Item(NamedTuple):
    """An item: the group that it is of, its name, and how it is checked."""

    group: str
    name: str
    check: Callable[[], Check]


def items(found: Sequence[Check], drill: Scratch, prometheus: str | None) -> list[Item]:
    """All twenty in their order. `found` is what the doctor has found of the installation."""
    shadow: tuple[tuple[str, Callable[[Scratch], Check]], ...] = (
        ("run", partial(tabletop.shadow, kinds=KINDS, faults="kills")),
        ("sanity", tabletop.sanity),
        ("monitor", _monitor),
        ("goldens", _goldens),
        ("replay", _replay),
    )
    runbook: tuple[tuple[str, Callable[[Scratch], Check]], ...] = (
        ("health", tabletop.health),
        ("emergency-stop", _emergency),
        ("golden-diff", tabletop.golden_diff),
        ("checkpoints", tabletop.checkpoints),
        ("budgets", tabletop.budgets),
    )
    silence = tabletop.silence if prometheus is None else partial(tabletop.firing, prometheus)
    return [
        *(Item("pre-flight", name, partial(_preflight, name, found)) for name in PREFLIGHT),
        *(Item("shadow", name, partial(do, drill)) for name, do in shadow),
        Item("runbook", "sections", _sections),
        *(Item("runbook", name, partial(do, drill)) for name, do in runbook),
        Item("alerting", "rules", _rules),
        Item("alerting", "metrics", partial(_metrics, drill)),
        Item("alerting", "silence", partial(silence, drill)),
        Item("alerting", "told", partial(_told, drill)),
    ]


def certify(wanted: Sequence[Item]) -> Iterator[Check]:
    """Check one item after the other; each is named by its group and name."""
    for item in wanted:
        try:
            check = item.check()
        except (RefoldError, OSError) as error:
            check = Check(item.name, "failed", detail=str(error), fix="refold doctor")
        yield replace(check, name=f"{item.group}:{item.name}")


def alerts() -> list[dict[str, Any]]:
    """The alerts of the rules. Raises DocumentError."""
    groups: Any = parse_yaml(RULES.read_text(encoding="utf-8"))
    return [rule for group in groups["groups"] for rule in group["rules"] if "alert" in rule]


def _preflight(name: str, found: Sequence[Check]) -> Check:
    mine = [check for check in found if check.name.partition(":")[0] in PREFLIGHT[name]]
    bad = sorted((check for check in mine if check.state != "ok"), key=lambda check: not check.failed)
    looked = {check.name.partition(":")[0] for check in mine}
    if not bad and (
        missing := PREFLIGHT[name] - looked - {"keys", "golden-key", "goldens", "tree", "policy", "server"}
    ):
        return Check(name, "failed", detail=f"not looked at: {', '.join(sorted(missing))}", fix="refold doctor")
    detail = "; ".join(f"{check.name}: {check.detail}" for check in bad) or ", ".join(check.name for check in mine)
    return Check(name, overall(mine), len(mine) - len(bad), len(mine), "checks", detail, bad[0].fix if bad else "")


def _monitor(drill: Scratch) -> Check:
    said = drill.refold("shadow", "monitor", "check", "--folder", tabletop.SHADOW, "--json")
    state = said.last.get("state")
    return _of("monitor", state == "HEALTHY", f"{state}", "refold shadow monitor check")


def _goldens(drill: Scratch) -> Check:
    folder = drill.folder / tabletop.SHADOW
    cycles = sorted(each.name for each in (folder / "goldens").iterdir() if each.is_dir())
    words = ("golden", "verify", "--all", "--offline", "--goldens", str(folder / "goldens"), "--keys",
             str(folder / "keys.json"), "--json")  # fmt: skip
    said = [drill.refold(*words, "--tenant", cycle) for cycle in cycles]
    well = bool(said) and all(each.code == 0 and each.last.get("checked", 0) > 0 for each in said)
    checked = sum(each.last.get("checked", 0) for each in said)
    return _of("goldens", well, f"{checked} verify, by their signatures", "refold shadow debug golden")


def _replay(drill: Scratch) -> Check:
    said = drill.refold("shadow", "debug", "replay", "1/abort", "--folder", tabletop.SHADOW, "--json")
    verdict = said.last.get("verdict")
    well = said.code == 0 and verdict == "equal"
    return _of("replay", well, f"another process says {verdict}", "refold shadow debug replay 1/abort")


def _emergency(drill: Scratch) -> Check:
    done = [do(drill) for do in (tabletop.stop, tabletop.stopped, tabletop.go_on)]
    return next((each for each in done if each.failed), replace(done[-1], detail="stopped, and went on again"))


def _sections() -> Check:
    runbook = (DOCUMENTS / "runbook.md").read_text(encoding="utf-8")
    bad: list[str] = []
    for name in (rule["alert"] for rule in alerts()):
        section = re.search(rf"^## {re.escape(name)}\n(.*?)(?=^## |\Z)", runbook, re.M | re.S)
        if section is None or not all(f"**{part}**" in section[1] for part in _PARTS):
            bad.append(name)
    detail = ", ".join(bad) or f"{len(alerts())} alerts, each with its section"
    return _of("sections", not bad, detail, "docs/ops/runbook.md")


def _rules() -> Check:
    bad = [rule["alert"] for rule in alerts() if not _leads(rule)]
    promtool = shutil.which("promtool")
    said = "promtool is not installed here"
    if promtool is not None:
        judged = subprocess.run([promtool, "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
        bad += ["promtool"] if judged.returncode else []
        said = "promtool has read them"
    detail = ", ".join(bad) or f"{len(alerts())} alerts lead to the runbook; {said}"
    return _of("rules", not bad, detail, "promtool check rules ops/alerts/refold.yaml")


def _leads(rule: dict[str, Any]) -> bool:
    told, labels = rule["annotations"], rule["labels"]
    linked = told["runbook_url"] == f"docs/ops/runbook.md#{rule['alert'].lower()}"
    return bool(linked and told["summary"] and told["description"] and labels["severity"] in ("critical", "warning"))


def _metrics(drill: Scratch) -> Check:
    wanted = set(re.findall(r"\brefold_[a-z_]+", RULES.read_text(encoding="utf-8")))
    wanted = {re.sub("_(bucket|count|sum)$", "", name) for name in wanted if not name.startswith("refold_shadow_")}
    text = "".join(drill.get(url).text for url in (f"{drill.url}/metrics", drill.projector))
    told = set(re.findall(r"^# TYPE (refold_\w+)", text, re.M))
    missing = sorted(name for name in wanted if not told & {name, name.removesuffix("_total")})
    detail = ", ".join(missing) or f"server and projector tell all {len(wanted)} that the rules read"
    return _of("metrics", not missing, detail, "docs/metrics.md")


def _told(drill: Scratch) -> Check:
    """A simulation that is not there is told to syslog, which is a socket of ours here."""
    place = drill.folder / "syslog"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(place))
        listening.settimeout(5.0)
        said = drill.refold("shadow", "cron-check", "--folder", "nowhere", "--syslog", str(place))
        try:
            line = listening.recv(2048).decode(errors="replace")
        except TimeoutError:
            line = ""
    detail = "a simulation that is not there was told to syslog" if line else "nothing came to syslog"
    return _of("told", said.code == 1 and "nowhere" in line, detail, "refold shadow cron-check")


def _of(name: str, well: bool, detail: str, fix: str) -> Check:
    return Check(name, "ok" if well else "failed", detail=detail, fix="" if well else fix)
