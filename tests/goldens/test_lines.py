"""A golden is a function of the run's events, and its lines follow from one another."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold import CallError, WorkflowEngine, canonical_json, open_store
from refold.core.canonical import Payload
from refold.core.seeds import step_seed
from refold.core.state import fold
from refold.projections.golden_drafts import Draft
from refold.projections.golden_faults import GoldenFault, check_golden
from refold.projections.golden_lines import Golden, golden_of
from refold.tests.support.goldens import golden, goldens, rewritten
from refold.tests.support.workflows import events_of, spec, step

EVERY = pytest.mark.parametrize("each", goldens(), ids=lambda each: each.run_id)


@EVERY
def test_every_line_is_canonical_and_the_whole_fits_together(each: Golden) -> None:
    lines = check_golden(each.data, each.tenant, each.run_id)
    assert b"".join(canonical_json(line) + b"\n" for line in lines) == each.data
    assert [line["event"] for line in lines] == ["run_start", *["step"] * (len(lines) - 2), "run_end"]


def test_there_are_goldens_of_every_kind() -> None:
    ends = {json.loads(each.data.splitlines()[-1])["status"] for each in goldens()}
    assert ends == {"completed", "failed", "cancelled", "timed_out", "rejected"}, ends
    functions = [each for each in goldens() if b'"index":"' in each.data]
    assert functions and any(each.run_id in ("linear", "large") for each in goldens())


def test_a_golden_says_what_the_run_did_and_nothing_of_when_or_where() -> None:
    start, greet, *_, end = map(json.loads, golden("linear").data.splitlines())
    assert (start["spec_id"], start["seed"], start["replay"], start["source_hash"]) == ("linear#1", 5, False, None)
    assert greet["output"] == {"text": "Hello Ada"} and greet["skill_id"] == "echo" and greet["status"] == "completed"
    assert end["status"] == "completed" and end["error_code"] is None and len(end["workflow_hash"]) == 64
    names = {name for line in golden("linear").data.splitlines() for name in json.loads(line)}
    assert not names & {"at", "time", "attempt", "cost_cents", "worker", "message"}


async def test_a_run_done_again_elsewhere_has_the_same_golden() -> None:
    made: list[bytes] = []
    wanted = spec(step("a", x=1.5), step("b", "random", depends_on=["a"]), step("c", "hash", b="${b}"))
    for _ in range(2):
        store = open_store("memory:")
        async with WorkflowEngine(store) as engine:
            await engine.run(wanted, "r", seed=7)
        made.append(golden_of(fold(events_of(store, "r"))).data)
    assert made[0] == made[1]


def test_another_process_computes_the_same_bytes() -> None:
    program = (
        "import hashlib; from refold.tests.support.goldens import goldens\n"
        "print(hashlib.sha256(b''.join(g.data for g in goldens() if g.run_id not in ('failed', 'linear'))).hexdigest())"
    )
    told = [subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True) for _ in range(2)]
    assert told[0].stdout == told[1].stdout and len(told[0].stdout) == 65, told[0].stderr


async def test_a_run_that_goes_on_has_no_golden_yet() -> None:
    store = open_store("memory:")
    async with WorkflowEngine(store) as engine:
        await engine.start(spec(step("a")), "r")
    with pytest.raises(CallError, match="run 'r' has not ended"):
        golden_of(fold(events_of(store, "r")))


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(TEXT, TEXT, st.lists(st.tuples(st.integers(0, 40), JSON), max_size=5, unique_by=lambda each: each[0]), JSON)
def test_whatever_is_recorded_fits_together(
    run_id: str, tenant: str, steps: list[tuple[int, object]], output: object
) -> None:
    draft = Draft(run_id, tenant, "any#1", 3, False, "0" * 64, None, None)
    for index, value in steps:
        draft.add_step(index, f"s{index}", "echo", step_seed(3, index), "completed", Payload.of(value), None, None)
    made = draft.end("completed", output, None, 50, 0)
    lines = check_golden(made.data, tenant, run_id)
    assert [line["index"] for line in lines[1:-1]] == sorted(index for index, _ in steps)


def fault_of(data: bytes, run_id: str = "linear", tenant: str = "default") -> tuple[int, str]:
    with pytest.raises(GoldenFault) as found:
        check_golden(data, tenant, run_id)
    assert len(str(found.value)) < 400
    return found.value.line, found.value.kind


LINES = golden("linear").data.splitlines(keepends=True)
LAST = len(LINES)
FUNCTION = next(each for each in goldens() if b'"index":"1"' in each.data)


@pytest.mark.parametrize(
    ("name", "data", "line", "kind"),
    [
        ("empty", b"", 1, "cut"),
        ("only a line end", b"\n", 1, "malformed"),
        ("cut in a line", b"".join(LINES)[:-10], LAST, "cut"),
        ("cut between lines", b"".join(LINES[:-1]), LAST - 1, "cut"),
        ("cut after the first", LINES[0], 1, "cut"),
        ("no last line end", b"".join(LINES)[:-1], LAST, "cut"),
        ("a line dropped", b"".join(LINES[:2] + LINES[3:]), 3, "hash"),
        ("the last step dropped", b"".join(LINES[:-2] + LINES[-1:]), LAST - 1, "hash"),
        ("all steps dropped", LINES[0] + LINES[-1], 2, "hash"),
        ("a line doubled", b"".join(LINES[:2] + LINES[1:]), 3, "order"),
        ("the start doubled", b"".join(LINES[:1] + LINES), 2, "order"),
        ("the end doubled", b"".join(LINES + LINES[-1:]), LAST, "order"),
        ("lines swapped", b"".join([LINES[0], LINES[2], LINES[1], *LINES[3:]]), 3, "order"),
        ("the start at the end", b"".join(LINES[1:] + LINES[:1]), 1, "order"),
        ("CRLF", b"".join(LINES).replace(b"\n", b"\r\n"), 1, "malformed"),
        ("CRLF in one line", b"".join([*LINES[:2], LINES[2][:-1] + b"\r\n", *LINES[3:]]), 3, "malformed"),
        ("BOM", b"\xef\xbb\xbf" + b"".join(LINES), 1, "malformed"),
        ("garbage after it", b"".join(LINES) + b"garbage", LAST + 1, "cut"),
        ("a line of garbage after it", b"".join(LINES) + b"garbage\n", LAST + 1, "malformed"),
        ("NUL bytes after it", b"".join(LINES) + b"\0" * 100, LAST + 1, "cut"),
        ("an empty line after it", b"".join(LINES) + b"\n", LAST + 1, "malformed"),
        ("a space", b"".join([LINES[0], LINES[1].replace(b",", b", ", 1), *LINES[2:]]), 2, "malformed"),
        ("a key twice", LINES[0].replace(b"{", b'{"event":"run_start",') + b"".join(LINES[1:]), 1, "malformed"),
        ("deep nesting", b"[" * 100_000 + b"\n", 1, "malformed"),
        ("a huge number", b"9" * 100_000 + b"\n", 1, "malformed"),
        ("no object", b"[]\n", 1, "malformed"),
        ("spliced", b"".join([*LINES[:2], golden("fan-out").data.splitlines(True)[2], *LINES[3:]]), 3, "hash"),
        ("another run", golden("fan-out").data, 1, "identity"),
        ("another output", b"".join([LINES[0], rewritten(LINES[1], output=1), *LINES[2:]]), 2, "hash"),
        ("another seed", b"".join([rewritten(LINES[0], seed=6), *LINES[1:]]), 2, "hash"),
        ("no seed", b"".join([rewritten(LINES[0], seed=-1), *LINES[1:]]), 1, "malformed"),
        ("a seed of text", b"".join([rewritten(LINES[0], seed="5"), *LINES[1:]]), 1, "malformed"),
        ("true as seed", b"".join([rewritten(LINES[0], seed=True), *LINES[1:]]), 1, "malformed"),
        ("another type", b"".join([rewritten(LINES[0], spec_id="other#1"), *LINES[1:]]), LAST, "hash"),
        ("another format", b"".join([rewritten(LINES[0], format=2), *LINES[1:]]), 1, "malformed"),
        ("a new field", b"".join([rewritten(LINES[0], more=2), *LINES[1:]]), 1, "malformed"),
        ("another status", b"".join([*LINES[:-1], rewritten(LINES[-1], status="failed")]), LAST, "malformed"),
        ("another end", b"".join([*LINES[:-1], rewritten(LINES[-1], status="failed", error_code="X")]), LAST, "hash"),
        ("another result", b"".join([*LINES[:-1], rewritten(LINES[-1], output=1)]), LAST, "hash"),
        ("a result not hashed", b"".join([*LINES[:-1], rewritten(LINES[-1], output_hash=None)]), LAST, "hash"),
        ("too few slots", b"".join([*LINES[:-1], rewritten(LINES[-1], step_hashes=[])]), LAST, "hash"),
        ("no slots", b"".join([*LINES[:-1], rewritten(LINES[-1], step_hashes=[3])]), LAST, "malformed"),
        ("a step of no index", b"".join([LINES[0], rewritten(LINES[1], index=-1), *LINES[2:]]), 2, "order"),
        ("a step far off", b"".join([*LINES[:-2], rewritten(LINES[-2], index=9), LINES[-1]]), LAST - 1, "hash"),
    ],
)  # fmt: skip
def test_damage_is_found_and_its_line_named(name: str, data: bytes, line: int, kind: str) -> None:
    assert fault_of(data) == (line, kind), name


def test_the_paths_of_a_function_are_checked() -> None:
    lines = FUNCTION.data.splitlines(keepends=True)
    swapped = b"".join([lines[0], lines[2], lines[1], *lines[3:]])
    assert fault_of(swapped, FUNCTION.run_id) == (3, "order")
    other = b"".join([lines[0], rewritten(lines[1], index="00"), *lines[2:]])
    assert fault_of(other, FUNCTION.run_id) == (2, "malformed")
    mixed = b"".join([*lines[:2], rewritten(lines[2], index=1), *lines[3:]])
    assert fault_of(mixed, FUNCTION.run_id) == (3, "order")
