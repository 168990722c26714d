"""The determinism suite, in its short form, and faults that it must not overlook."""

from __future__ import annotations

from pathlib import Path

from refold.core.failures import Category
from refold.ops.certify_faults import FAULTS, Bench, Fault, inject_faults
from refold.tests.cli.driver import Refold


def test_the_short_suite_finds_nothing(refold: Refold) -> None:
    done = refold("certify", "determinism", "--quick", "--json")
    (report,) = done.lines
    assert done.code == 0 and report["ok"], report
    seeds, stress, faults = report["iterations"], report["stress"], report["faults"]
    assert (seeds["iterations"], seeds["workers"], seeds["mismatches"]) == (2_250, 3, 0)
    assert (stress["workflows"], stress["stress_processes"], stress["replay_workers"]) == (20, 4, 4)
    assert stress["replays"] >= 4 * 20 and stress["mismatches"] == 0
    assert faults["injected"] == len(FAULTS) >= 12 and faults["mismatches"] == 0
    assert set(faults["categories"]) == set(Category)


async def test_another_code_than_the_fault_must_have_is_told(tmp_path: Path) -> None:
    raises = next(each for each in FAULTS if each.code == "SKILL_ERROR")
    wrong = Fault("mistaken", Category.PERMANENT, "STEP_TIMEOUT", raises.bring)
    other = Fault("misfiled", Category.RESOURCE, "SKILL_ERROR", raises.bring)
    first, second = await inject_faults(tmp_path, [wrong, other])
    assert first["wrong"] == ["the code is SKILL_ERROR, not STEP_TIMEOUT"]
    assert second["wrong"] == ["the catalog says TRANSIENT, not RESOURCE"]


async def test_a_golden_that_a_fault_has_altered_is_told(tmp_path: Path) -> None:
    raises = next(each for each in FAULTS if each.code == "SKILL_ERROR")

    async def alter(bench: Bench) -> str | None:
        (golden,) = (tmp_path / "goldens" / "default").glob("*.jsonl")
        golden.write_bytes(golden.read_bytes().replace(b"failed", b"fooled"))
        return await raises.bring(bench)

    good, bad = await inject_faults(tmp_path, [raises, Fault("altered", raises.category, raises.code, alter)])
    assert not good["wrong"] and any("the golden of fault-01" in told for told in bad["wrong"])
