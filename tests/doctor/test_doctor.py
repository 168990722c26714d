"""`refold doctor` is green on a fresh store, and says what is wrong with one that is not."""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from refold.compose import open_store
from refold.core.checks import Check
from refold.core.errors import StoreRefusedError
from refold.ops.doctor.environment import KNOWN, PREFIXES
from refold.ops.doctor.examining import cure, examine
from refold.ops.doctor.looks import LOOKS
from refold.ops.doctor.patient import Look, Patient
from refold.ops.doctor.versions import fits
from refold.tests.doctor.conftest import Ask
from refold.tests.support.doctored import asked
from refold.tests.support.root_package import ROOT
from refold.tests.support.source import product


def test_a_fresh_store_is_green(fresh: Path, doctor: Ask) -> None:
    seen = doctor()
    # The tests' files may lie in memory, of which `sync` warns.
    assert seen.code == 0 and not seen.named("failed") and seen.named("warning") <= {"sync"}, seen
    assert {name.partition(":")[0] for name in seen.checks} == {look.name for look in LOOKS} - {
        "server",
        "keys",
        "golden-key",
        "goldens",
        "tree",
        "policy",
    }


def test_a_fresh_postgres_is_green(doctor: Ask, postgres_url: str) -> None:
    with closing(open_store(postgres_url)):
        pass
    seen = doctor("--database", postgres_url)
    assert seen.code == 0 and not seen.named("failed") and seen.named("warning") <= {"sync"}, seen
    assert {"server", "durability", "sync", "clock"} <= seen.checks.keys()


def test_warnings_fail_only_with_strict(fresh: Path, doctor: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFOLD_GOLDNES", "here")
    seen = doctor()
    assert (seen.code, seen.checks["settings"]["state"]) == (0, "warning")
    assert seen.checks["settings"]["fix"] == 'export REFOLD_GOLDENS="$REFOLD_GOLDNES"; unset REFOLD_GOLDNES'
    assert doctor("--strict").code == 1


def test_people_see_the_fix_below_what_has_failed(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from refold.ops.cli import main

    monkeypatch.setenv("REFOLD_DATABASE_URL", "sqlite:///named.db")
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--port", "0"])
    assert ended.value.code == 5
    shown = capsys.readouterr().out
    assert re.search(r"^FAILED +store", shown, re.M) and "fix: refold migrate --database" in shown


def test_the_password_is_never_shown(doctor: Ask) -> None:
    seen = doctor("--database", "postgresql://me:s3cret-word@127.0.0.1:1/x")
    assert seen.code == 5 and "s3cret" not in str(seen) and "127.0.0.1:1" in seen.checks["store"]["detail"]


def test_a_file_that_somebody_holds_is_told_in_bounded_time(fresh: Path) -> None:
    holder = sqlite3.connect(fresh, isolation_level=None)
    holder.execute("PRAGMA locking_mode=EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    seen = asked("--timeout", "1")
    holder.close()
    assert seen.code == 5 and "no answer within 1 s" in seen.checks["store"]["detail"]
    assert seen.fix("store").startswith("fuser -v ")


def test_no_look_takes_another_down(folder: Path) -> None:
    def hangs(_patient: Patient) -> Check:
        time.sleep(60)
        return Check("hangs", "ok")

    def wrong(_patient: Patient) -> Check:
        raise ZeroDivisionError("me")

    def refused(_patient: Patient) -> str:
        raise StoreRefusedError("not now")

    looks = [
        Look("hangs", hangs),
        Look("wrong", wrong, cure=refused),
        Look("fine", lambda _patient: Check("fine", "ok")),
        Look("next", lambda _patient: Check("next", "ok"), after="wrong"),
    ]
    patient = Patient("memory:", seconds=0.2)
    checks, hung = examine(patient, looks)
    assert [(check.name, check.state) for check in checks] == [("hangs", "failed"), ("wrong", "failed"), ("fine", "ok")]
    assert "no answer within 0.2 s" in checks[0].detail and "ZeroDivisionError" in checks[1].detail
    assert [thread.name for thread in hung] == ["refold-doctor-hangs"]
    assert cure(patient, looks, checks) == ["wrong could not be cured: not now"]


def test_every_setting_that_is_read_is_known_to_the_doctor() -> None:
    # In quotes, or the console's examples for people would count.
    read = {name for module in product() for name in re.findall(r'"(REFOLD_[A-Z_]*[A-Z])"', module.text)}
    assert not {name for name in read - KNOWN if not name.startswith(PREFIXES)}, "add it to ops/doctor/environment.py"


@pytest.mark.parametrize(
    ("version", "wanted", "fit"),
    [
        ("9.5.6", "<10,>=9.5.6", True),
        ("10.0.0a1", "<10,>=9.5.6", False),
        ("9.5.5", "<10,>=9.5.6", False),
        ("0.66b2", "==0.66b2", True),
        ("0.66b1", "==0.66b2", False),
        ("1.45.2", "~=1.45.0", True),
        ("1.46.0", "~=1.45.0", False),
        ("1.10", "==1.*", True),
        ("1.10", "!=1.10", False),
        ("2", "==2.0", True),
    ],
)
def test_versions_are_compared_as_pins_need_it(version: str, wanted: str, fit: bool) -> None:
    assert fits(version, wanted) is fit


def test_the_page_has_a_section_for_each_look() -> None:
    page = (ROOT / "docs/ops/doctor.md").read_text(encoding="utf-8")
    sections = re.findall(r"^### `([a-z-]+)`", page, re.M)
    assert sections == [look.name for look in LOOKS]
    for name in sections:
        body = page.partition(f"### `{name}`")[2].partition("\n###")[0]
        assert re.search(r"\bFix:\s", body), f"{name} does not say what to type"
