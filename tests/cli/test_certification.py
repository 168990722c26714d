"""The twenty items: filled in for real, kept, signed; and nothing in the report can be changed unnoticed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from refold.core.checks import Check
from refold.ops import certification
from refold.ops.certification import PREFLIGHT, items
from refold.ops.doctor.looks import LOOKS
from refold.ops.scratch import Scratch
from refold.tests.cli.driver import Refold
from refold.tests.support.root_package import ROOT


def test_a_sound_installation_is_certified_and_its_report_is_proof(
    refold: Refold, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certification, "KINDS", "abort,chain")
    assert refold("migrate").code == refold("audit", "keygen", "--name", "ops", "-o", "key.pem").code == 0
    done = refold("certify", "--key", "key.pem", "--out", "kept", "--by", "Ada", "--json")
    *checks, total = done.lines
    assert done.code == 0 and total["verdict"] == "certified" and total["signed"], done.out + done.err
    assert [each["name"] for each in checks if each["state"] != "failed"] == names()
    assert len(list((folder / "kept/goldens").rglob("*.steps.jsonl"))) == 3 * 2

    def verify(key: str = "key.pub.pem") -> tuple[int, str]:
        said = refold("certify", "verify", "kept", "--key", key, "--json")
        return said.code, said.lines[-1]["standing"]

    assert verify() == (0, "valid")
    completion = (folder / "kept/completion-report.md").read_text()
    assert "**certified**" in completion and "| Ada |" in completion and "$" not in completion
    refold("audit", "keygen", "--name", "other", "-o", "other.pem")
    assert verify("other.pub.pem") == (4, "unknown_key")
    for altered in ("summary.json", "report.json"):
        file = folder / "kept" / altered
        before = file.read_bytes()
        file.write_bytes(before.replace(b"20", b"21", 1))
        assert verify() == (4, "altered"), altered
        file.write_bytes(before)
    next((folder / "kept/goldens").rglob("*.sig")).unlink()
    assert verify() == (4, "altered")
    assert refold("certify", "--out", "kept").code == 2


def test_what_is_wrong_or_was_not_looked_at_fails_its_item() -> None:
    found = [Check("store", "failed", detail="away", fix="pg_isready"), Check("disk:store", "warning", detail="90 %")]
    states = {item.name: item.check() for item in items(found, Scratch(), None)[:5]}
    assert states["store"].failed and states["store"].fix == "pg_isready"
    assert states["service"].failed and states["service"].detail.startswith("not looked at: ")
    assert states["host"].state == "warning"


def test_the_items_look_at_all_that_the_doctor_does() -> None:
    looked = set[str]().union(*PREFLIGHT.values())
    assert looked | {"port"} == {look.name for look in LOOKS}


def names() -> list[str]:
    """The items in the order of the document."""
    return re.findall(r"^\| \d+ \| `([\w:-]+)` \|", (ROOT / "docs/ops/certification.md").read_text(), re.M)


def test_there_are_twenty_items() -> None:
    groups = [name.partition(":")[0] for name in names()]
    assert [groups.count(each) for each in dict.fromkeys(groups)] == [5, 5, 6, 4]
