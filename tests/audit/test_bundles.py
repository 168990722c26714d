"""Bundles: everything in them is proved, by us and by the stand-alone verifier, and nothing of them can change."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from refold import RunNotFoundError, WorkflowEngine, open_store
from refold.core.canonical import canonical_json, decode
from refold.core.state import fold
from refold.eventstore.codec import decode as decode_event
from refold.eventstore.store import Store
from refold.projections.golden_lines import golden_of
from refold.projections.golden_signatures import sign
from refold.replay import offline_verifier
from refold.replay.audit_faults import AuditFault
from refold.replay.bundle_files import CHECKPOINT, EVENTS, GOLDEN, GOLDEN_SIGNATURE, INBOX, MANIFEST, pack, unpack
from refold.replay.bundle_proof import BundleVerdict, prove_bundle
from refold.replay.bundles import export_run, read_bundle
from refold.replay.signing_keys import SigningKey
from refold.tests.support.audited import LOG_KEY, WITNESS_KEY, bundle_of, parse_manifest, repacked, signed, tree_of
from refold.tests.support.goldens import NOW, keys
from refold.tests.support.histories import histories
from refold.tests.support.tampering import SPECS, SQLiteAttacker, changed, rechained, store_runs
from refold.tests.support.workflows import events_of, soon, until

KEYS = [(LOG_KEY.name, LOG_KEY.verifier.public), (WITNESS_KEY.name, WITNESS_KEY.verifier.public)]
"""As the stand-alone verifier has them."""


_NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53) + 1, 2**53 - 1)
_JSON = st.recursive(
    st.none() | st.booleans() | st.text() | _NUMBERS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


class Scene(NamedTuple):
    """A store with runs of all shapes, the bundle of each, and a folder."""

    store: Store
    bundles: dict[str, bytes]
    folder: Path


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The runs of `tampering`, with their goldens, under one head."""
    folder = tmp_path_factory.mktemp("bundles")
    store = open_store(f"sqlite:///{folder / 'log.db'}")
    store_runs(store)
    bundles: dict[str, bytes] = {}
    for run_id in SPECS:
        golden = golden_of(fold(events_of(store, run_id)))
        bundles[run_id] = bundle_of(store, folder / "audit", run_id, (golden.data, sign(golden, keys())))
    yield Scene(store, bundles, folder)
    store.close()


def proved(data: bytes) -> BundleVerdict:
    return prove_bundle(read_bundle(data), LOG_KEY.verifier, [WITNESS_KEY.verifier], keys(), NOW)


def refused(data: bytes) -> str:
    """What is wrong with the bundle, which both verifiers must say: the layer by ours."""
    with pytest.raises(Exception):  # noqa: B017 (the short verifier raises whatever it stumbles over)
        offline_verifier.verify(data, KEYS)
    try:
        verdict = proved(data)
    except AuditFault as fault:
        return fault.layer
    assert not verdict.ok, "the bundle was accepted"
    return verdict.faults[0].layer


@pytest.mark.parametrize("run_id", SPECS)
def test_every_shape_of_run_is_proved_by_both(scene: Scene, run_id: str) -> None:
    data = scene.bundles[run_id]
    verdict = proved(data)
    assert verdict.ok, verdict.faults
    assert verdict.golden == "signed" and verdict.witnesses[0].name == WITNESS_KEY.name
    assert f"workflow hash {verdict.workflow_hash}" in offline_verifier.verify(data, KEYS)


@pytest.mark.parametrize("history", histories(), ids=lambda history: str(history.stream))
def test_the_short_verifier_proves_recorded_histories_of_functions_too(history: object) -> None:
    events = [decode(record.state) for record in history.records.get(history.stream, ())]  # type: ignore[attr-defined]
    records = history.records.get(history.stream, ())  # type: ignore[attr-defined]
    flat = [{**state["data"], "topic": r.topic, "build": ""} for r, state in zip(records, events, strict=True)]
    large = {f"large/{digest}": data for digest, data in history.large.items()}  # type: ignore[attr-defined]
    if not flat:
        pytest.skip("a stream of its own kind")
    _, _, golden = offline_verifier.verify_run(flat, large)
    state = fold(decode_event(record, history.large) for record in records)  # type: ignore[attr-defined]
    assert golden.encode() == (b"" if state.end is None else golden_of(state).data)


def test_a_bundle_made_again_has_the_same_bytes(scene: Scene) -> None:
    golden = golden_of(fold(events_of(scene.store, "linear")))
    again = bundle_of(scene.store, scene.folder / "again", "linear", (golden.data, sign(golden, keys())))
    assert again == scene.bundles["linear"]
    with zipfile.ZipFile(BytesIO(again)) as bundle:
        names = bundle.namelist()
        assert names == sorted(names) and not any(entry.compress_type for entry in bundle.infolist())


def test_the_manifest_names_run_builds_spec_and_files(scene: Scene) -> None:
    manifest = parse_manifest(unpack(scene.bundles["cancelled"])[MANIFEST])
    assert (manifest["run_id"], manifest["tenant"], manifest["format"]) == ("cancelled", "default", 1)
    assert manifest["builds"] == ["refold 0.1.0"] and len(manifest["spec_hash"]) == 64
    assert set(manifest["files"]) == {CHECKPOINT, EVENTS, INBOX, GOLDEN, GOLDEN_SIGNATURE}
    assert list(manifest["heads"]) == ["default/cancelled", "default/cancelled/inbox"]


def test_no_byte_of_a_bundle_can_change(scene: Scene) -> None:
    """Every byte, each by one bit or more; what lies in a zip beside its content is covered too."""
    data = scene.bundles["linear"]
    draw = random.Random(7)
    for at in range(len(data)):
        mutated = bytearray(data)
        mutated[at] ^= 1 << draw.randrange(8)
        with pytest.raises(AuditFault) as caught:
            read_bundle(bytes(mutated))
        assert caught.value.layer == "bundle", f"byte {at}"
        with pytest.raises(Exception):  # noqa: B017
            offline_verifier.unpack(bytes(mutated))


@pytest.mark.parametrize("name", [CHECKPOINT, EVENTS, INBOX, GOLDEN, MANIFEST])
def test_no_byte_of_a_file_can_change_though_all_sums_are_made_anew(scene: Scene, name: str) -> None:
    """A forger who writes a sound zip with a sound list of files."""
    data, draw = scene.bundles["cancelled"], random.Random(8)
    content = unpack(data)[name]
    step = 1 if len(content) < 900 else 31
    for at in range(draw.randrange(step), len(content), step):
        mutated = bytearray(content)
        mutated[at] ^= 1 << draw.randrange(7)
        refused(repacked(data, name, bytes(mutated), manifest=name != MANIFEST))


def test_the_signature_of_a_golden_is_for_those_who_have_the_key(scene: Scene) -> None:
    data = scene.bundles["linear"]
    signature = unpack(data)[GOLDEN_SIGNATURE]
    forged = repacked(
        data, GOLDEN_SIGNATURE, signature.replace(b'"hmac":"', b'"hmac":"0')[:-4] + b'"}\n', manifest=True
    )
    (fault,) = proved(forged).faults
    assert (fault.layer, fault.kind) == ("golden", "signature")
    unsigned = repacked(data, GOLDEN_SIGNATURE, None, manifest=True)
    assert [fault.kind for fault in proved(unsigned).faults] == ["unsigned"]
    assert prove_bundle(read_bundle(unsigned), LOG_KEY.verifier).ok, "without the key there is nothing to look at"


@given(st.data())
def test_a_cut_bundle_is_none(scene: Scene, data: st.DataObject) -> None:
    bundle = scene.bundles["failed"]
    cut = bundle[: data.draw(st.integers(0, len(bundle) - 1))]
    with pytest.raises(AuditFault) as caught:
        read_bundle(cut)
    assert caught.value.layer == "bundle"


def test_what_has_no_place_in_a_bundle_is_refused(scene: Scene) -> None:
    files = unpack(scene.bundles["linear"])
    for name in ("../evil", "/etc/passwd", "large/x", "notes.txt"):
        assert refused(pack({**files, name: b"x"})) == "bundle"
    assert refused(pack({**files, f"large/{'0' * 64}": b"x"})) == "bundle"
    assert refused(repacked(scene.bundles["linear"], f"large/{'0' * 64}", b"x", manifest=True)) == "chain"
    for needed in (CHECKPOINT, EVENTS, MANIFEST):
        assert refused(pack({name: held for name, held in files.items() if name != needed})) == "bundle"
    assert refused(scene.bundles["linear"] + b"\0") == "bundle"
    compressed = BytesIO()
    with zipfile.ZipFile(compressed, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name in sorted(files):
            bundle.writestr(name, files[name])
    assert refused(compressed.getvalue()) == "bundle"


def test_a_zip_that_says_it_is_huge_is_not_unpacked(scene: Scene) -> None:
    data = bytearray(scene.bundles["linear"])
    at = data.index(b"PK\x01\x02")
    struct.pack_into("<I", data, at + 24, 2**31)
    assert refused(bytes(data)) == "bundle"


def test_events_cut_off_or_moved_are_missed(scene: Scene) -> None:
    data = scene.bundles["linear"]
    lines = unpack(data)[EVENTS].splitlines(keepends=True)
    assert refused(repacked(data, EVENTS, b"".join(lines[:-1]), manifest=True)) == "chain"
    assert refused(repacked(data, EVENTS, b"".join([lines[1], lines[0], *lines[2:]]), manifest=True)) == "chain"


def test_an_event_that_was_rewritten_with_its_chain_is_not_under_the_head(scene: Scene) -> None:
    """The diligent forger: another agent, the chain made anew, the list of files too; only the head is not his."""
    data = scene.bundles["linear"]
    lines = [json.loads(line) for line in unpack(data)[EVENTS].splitlines()]
    records = scene.store.read("default/linear")

    def other_agent(envelope: dict[str, object]) -> None:
        envelope["data"]["agent_id"] = "mallory"  # type: ignore[index]

    forged, head = rechained([changed(records[0], other_agent), *records[1:]])
    for line, record in zip(lines, forged, strict=True):
        line["state"] = record.state.decode()
    files = unpack(repacked(data, EVENTS, b"".join(canonical_json(line) + b"\n" for line in lines), manifest=True))
    manifest = parse_manifest(files[MANIFEST])
    manifest["heads"]["default/linear"] = list(head)
    mutated = pack({**files, MANIFEST: canonical_json(manifest) + b"\n"})
    verdict = proved(mutated)
    assert {fault.layer for fault in verdict.faults} == {"inclusion"} and len(verdict.faults) == len(records)
    assert refused(mutated) == "inclusion"


def test_a_proof_for_another_leaf_or_tree_does_not_do(scene: Scene) -> None:
    data = scene.bundles["linear"]
    lines = [json.loads(line) for line in unpack(data)[EVENTS].splitlines()]
    lines[1]["proof"][0] = base64.b64encode(bytes(32)).decode()
    wrong = repacked(data, EVENTS, b"".join(canonical_json(line) + b"\n" for line in lines), manifest=True)
    (fault,) = proved(wrong).of("inclusion")
    assert fault.reason.startswith("event 2 of default/linear is not")
    older = signed(tree_of(scene.store, scene.folder / "audit"), 5)
    assert refused(repacked(data, CHECKPOINT, older.data, manifest=True)) == "inclusion"


def test_wrong_keys_and_witnesses_are_named(scene: Scene) -> None:
    bundle = read_bundle(scene.bundles["linear"])
    same_name, stranger = SigningKey.generate(LOG_KEY.name), SigningKey.generate("example.com/other")
    cases = [
        (same_name, WITNESS_KEY, "unknown_key"),
        (stranger, WITNESS_KEY, "origin"),
        (LOG_KEY, stranger, "witness"),
    ]
    for key, witness, kind in cases:
        verdict = prove_bundle(bundle, key.verifier, [witness.verifier])
        assert [(fault.layer, fault.kind) for fault in verdict.faults] == [("head", kind)]
        with pytest.raises(ValueError, match="head: "):
            offline_verifier.verify(
                scene.bundles["linear"], [(each.name, each.verifier.public) for each in (key, witness)]
            )


def test_a_run_that_has_not_ended_is_proved_as_far_as_it_goes(scene: Scene, tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'copy.db'}")
    store_runs(store)
    attacker = SQLiteAttacker(str(tmp_path / "copy.db"))
    records, head = rechained(store.read("default/linear")[:3])
    attacker.put("default/linear", records)
    attacker.put_head("default/linear", head)
    attacker.close()
    data = bundle_of(store, tmp_path / "audit", "linear")
    verdict = proved(data)
    assert verdict.ok and verdict.status == "running" and verdict.golden == "none"
    assert offline_verifier.verify(data, KEYS).endswith("has not ended")
    store.close()


def test_an_event_altered_after_it_went_into_the_tree_cannot_be_exported(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'copy.db'}")
    store_runs(store)
    tree = tree_of(store, tmp_path / "audit")
    note = signed(tree)
    attacker = SQLiteAttacker(str(tmp_path / "copy.db"))
    sql = "UPDATE stored_events SET state = CAST(state || ' ' AS BLOB) WHERE originator_id = 'default/large'"
    attacker._connection.execute(sql)  # pyright: ignore[reportPrivateUsage]
    attacker.close()
    with pytest.raises(AuditFault, match="event 1 of default/large is not in the tree"):
        export_run(store, tree, note, "large")
    with pytest.raises(AuditFault, match="newer than the head of 2 leaves"):
        export_run(store, tree, signed(tree, 2), "linear")
    with pytest.raises(RunNotFoundError):
        export_run(store, tree, note, "nobody")
    store.close()


def test_a_signal_too_large_for_its_event_goes_with_its_payload(tmp_path: Path) -> None:
    store = open_store("memory:")
    spec = {"workflow_type": "large", "steps": [{"step_id": "a", "skill_id": "wait_signal", "inputs": {"name": "go"}}]}

    async def work() -> None:
        async with WorkflowEngine(store) as engine:
            running = asyncio.ensure_future(engine.run(spec, "run"))
            await until(lambda: store.read("default/run"))
            await engine.signal("run", "go", {"text": "x" * 70_000})
            await soon(running)

    asyncio.run(work())
    data = bundle_of(store, tmp_path / "audit", "run")
    payload = next(name for name in unpack(data) if name.startswith("large/"))
    assert proved(data).ok and "completed" in offline_verifier.verify(data, KEYS)
    assert refused(repacked(data, payload, b'{"text":"y"}', manifest=True)) == "chain"
    assert refused(repacked(data, payload, None, manifest=True)) == "chain"
    store.close()


@given(st.integers(0, 2**32), _JSON)
def test_whatever_stands_in_a_bundle_there_is_a_verdict(scene: Scene, seed: int, value: object) -> None:
    """Values of any kind in any place: a fault is told, and nothing else is raised."""
    draw = random.Random(seed)
    bundle = scene.bundles[draw.choice(sorted(scene.bundles))]
    files = unpack(bundle)
    name = draw.choice(sorted({EVENTS, MANIFEST, INBOX} & files.keys()))
    lines = [json.loads(line) for line in files[name].splitlines()]
    line = draw.choice(lines)
    if "state" in line and draw.random() < 0.6:
        state = json.loads(line["state"])
        place = draw.choice([state, state["data"]])
        place[draw.choice(sorted(place))] = value
        line["state"] = canonical_json(state).decode()
    else:
        line[draw.choice(sorted(line))] = value
    content = b"".join(canonical_json(each) + b"\n" for each in lines)
    if content != files[name]:
        refused(repacked(bundle, name, content, manifest=name != MANIFEST))


def test_the_short_verifier_runs_alone(scene: Scene, tmp_path: Path) -> None:
    verifier = tmp_path / "verify_bundle.py"
    verifier.write_text(Path(offline_verifier.__file__).read_text())
    (tmp_path / "good.zip").write_bytes(scene.bundles["cancelled"])
    events = unpack(scene.bundles["cancelled"])[EVENTS].replace(b"coffee", b"tea!!!")
    (tmp_path / "bad.zip").write_bytes(repacked(scene.bundles["cancelled"], EVENTS, events, manifest=True))
    (tmp_path / "log.pem").write_bytes(LOG_KEY.verifier.pem())
    (tmp_path / "witness.pem").write_bytes(WITNESS_KEY.verifier.pem())

    def run(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-I", verifier, *words], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        return done.returncode, done.stdout + done.stderr

    code, said = run("good.zip", "log.pem", "witness.pem")
    assert code == 0 and said.startswith("intact: default/cancelled: "), said
    code, said = run("bad.zip", "log.pem")
    assert code == 4 and said.startswith("NOT INTACT: inclusion: event 2 of default/cancelled"), said
    code, said = run("good.zip", "witness.pem")
    assert code == 4 and "the key is of witness.example/w1" in said
    assert run("good.zip")[0] == run("none.zip", "log.pem")[0] == 2


def test_the_short_verifier_is_short_and_needs_nothing_of_ours() -> None:
    text = Path(offline_verifier.__file__).read_text()
    assert sum(bool(line.strip()) for line in text.splitlines()) <= 200
    assert "import refold" not in text and "from ." not in text


@given(_JSON)
def test_the_short_verifier_writes_canonical_json(value: object) -> None:
    data = rfc8785.dumps(value)  # type: ignore[arg-type]
    assert offline_verifier.canonical(value).encode() == data
    offline_verifier.parse(data, "it")


@given(st.integers(0, 2**64 - 1))
def test_the_short_verifier_writes_every_float(bits: int) -> None:
    (value,) = struct.unpack("<d", struct.pack("<Q", bits))
    if value == value and abs(value) != float("inf"):
        assert offline_verifier.canonical(value).encode() == rfc8785.dumps(value)
