"""`refold audit`: keys, heads, witnesses, proofs, checks and bundles, as an auditor and an operator use them."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from refold.core.canonical import canonical_json
from refold.core.hashing import sha256_hex, step_hash, workflow_hash
from refold.core.ports import Record
from refold.core.seeds import step_seed
from refold.eventstore.sqlite import SQLiteStore
from refold.replay.signing_keys import SigningKey
from refold.replay.tree_heads import TreeHead, parse_note, sign_head
from refold.tests.cli.driver import Done, Refold
from refold.tests.support.tampering import changed, rechained


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log's key and the goldens' keys in the current folder; all else where it is by default."""
    for name in ("REFOLD_GOLDENS", "REFOLD_AUDIT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REFOLD_GOLDEN_KEYS", "keys.json")
    monkeypatch.setenv("REFOLD_AUDIT_KEY", "log.pem")


@pytest.fixture
def log(refold: Refold, folder: Path) -> Refold:
    """Two runs with their goldens, a key of the log and one of a witness, and a published head."""
    assert refold("golden", "rotate-key", "--by", "Ada").code == 0
    for run_id in ("a", "b"):
        assert refold("run", "hello.json", "--run-id", run_id, "--seed", "3").code == 0
    assert refold("golden", "write", "--all").code == 0
    assert refold("audit", "keygen", "--name", "example.com/log", "-o", "log.pem").code == 0
    assert refold("audit", "keygen", "--name", "example.org/eve", "-o", "eve.pem", "--witness").code == 0
    assert refold("audit", "publish", "--to", "public").code == 0
    return refold


def fault(done: Done) -> str:
    """The layer and kind of what a command says is wrong, which is no traceback."""
    assert done.code == 4, done
    assert "Traceback" not in done.err
    return ": ".join(done.err.partition("]: ")[2].split(": ")[:2])


def test_keys_are_for_their_owner_alone_and_never_written_over(refold: Refold, folder: Path) -> None:
    done = refold("audit", "keygen", "--name", "example.com/log", "-o", "log.pem", "--json")
    (made,) = done.lines
    assert stat.S_IMODE(Path("log.pem").stat().st_mode) == 0o600
    assert made["verifier"] == Path("log.vkey").read_text().strip() and made["verifier"].startswith("example.com/log+")
    secret = Path("log.pem").read_text().splitlines()[2]
    assert secret not in done.out + done.err
    assert refold("audit", "keygen", "--name", "example.com/log", "-o", "log.pem").code == 2
    assert refold("audit", "keygen", "--name", "two words", "-o", "other.pem").code == 2
    Path("log.pem").chmod(0o644)
    done = refold("audit", "head")
    assert done.code == 2 and "others may read" in done.err and secret not in done.err


def test_a_head_is_signed_once_for_each_state_of_the_log(log: Refold) -> None:
    first = log("audit", "head").out
    assert first == log("audit", "head").out == Path("audit/checkpoint").read_text()
    note = parse_note(first.encode())
    assert note.head.origin == "example.com/log" and note.head.size == 11
    log("run", "hello.json", "--run-id", "c")
    (grown,) = log("audit", "head", "--json").lines
    assert grown["size"] == 16 and grown["checkpoint"] != first
    assert log("audit", "update", "--json").lines == [{"size": 16, "added": 0, "position": 16, "root": grown["root"]}]


def test_heads_are_published_beside_one_another(log: Refold) -> None:
    first = sorted(os.listdir("public"))
    assert log("audit", "publish", "--to", "public").out == "published already: 11 leaves\n"
    log("run", "hello.json", "--run-id", "c")
    assert log("audit", "publish", "--to", "public", "--json").lines[0]["published"] is True
    second = sorted(os.listdir("public"))
    assert len(first) == 2 and len(second) == 3 and set(first) < set(second)
    assert Path("public/latest").read_bytes() == Path("public", second[1]).read_bytes()


def test_a_witness_signs_what_continues_what_it_saw(log: Refold) -> None:
    eve = ("--log-key", "log.vkey", "--key", "eve.pem", "--state", "eve.seen")
    assert log("audit", "witness", "public", *eve, "-o", "signed.head").code == 0
    assert log("audit", "publish", "--to", "public", "--head", "signed.head").code == 0
    assert log("audit", "check", "--head", "public", "--key", "log.vkey", "--witness", "eve.vkey").code == 0
    shutil.copy("audit/checkpoint", "old.head")
    log("run", "hello.json", "--run-id", "c")
    assert log("audit", "head").code == 0
    new = ("audit", "witness", "audit/checkpoint", *eve)
    assert fault(log(*new)) == "consistency: missing"
    assert log("audit", "consistency", "old.head", "audit/checkpoint", "-o", "proof.json").code == 0
    (signed,) = log(*new, "--proof", "proof.json", "--json").lines
    assert signed["witness"] == "example.org/eve" and signed["checkpoint"].count("—") == 2
    assert fault(log("audit", "witness", "old.head", *eve)) == "head: stale"
    stranger = log("audit", "witness", "public", "--log-key", "eve.vkey", "--key", "eve.pem", "--state", "x")
    assert fault(stranger) == "head: origin" and not Path("x").exists()


def test_a_fork_is_not_signed_nor_published(log: Refold) -> None:
    """The log's own key signs another history of the same length."""
    eve = ("--log-key", "log.vkey", "--key", "eve.pem", "--state", "eve.seen")
    assert log("audit", "witness", "public", *eve, "-o", "signed.head").code == 0
    fork = sign_head(TreeHead("example.com/log", 11, bytes(32)), SigningKey.load("log.pem"))
    Path("fork.head").write_bytes(fork)
    assert fault(log("audit", "witness", "fork.head", *eve)) == "head: forked"
    longer = sign_head(TreeHead("example.com/log", 12, bytes(32)), SigningKey.load("log.pem"))
    Path("longer.head").write_bytes(longer)
    proof = {"format": 1, "kind": "consistency", "old": 11, "new": 12, "proof": []}
    Path("proof.json").write_text(json.dumps(proof))
    assert fault(log("audit", "witness", "longer.head", *eve, "--proof", "proof.json")) == "consistency: forked"
    Path("proof.json").write_text(json.dumps({**proof, "old": 10}))
    assert fault(log("audit", "witness", "longer.head", *eve, "--proof", "proof.json")) == "consistency: size"
    assert fault(log("audit", "publish", "--to", "public", "--head", "fork.head")) == "head: forked"
    assert fault(log("audit", "publish", "--to", "public", "--head", "longer.head")) == "tree: stale"
    Path("public/latest").write_bytes(fork)
    assert fault(log("audit", "publish", "--to", "public")) == "head: forked"
    shutil.copy("fork.head", "audit/checkpoint")
    assert fault(log("audit", "head")) == "head: forked"


def test_inclusion_proofs_are_proved_without_the_database(log: Refold) -> None:
    assert log("audit", "prove", "a", "-o", "proofs.json").out.startswith("event 1 of default/a: leaf 1 of 11, ")
    os.rename("refold.db", "gone.db")
    shutil.rmtree("audit")
    assert log("audit", "verify", "proofs.json", "--key", "log.pub.pem").out.startswith("intact  5 events under the 11")
    document = json.loads(Path("proofs.json").read_text())

    def refused(**changes: object) -> str:
        proofs = [{**document["proofs"][0], **changes}]
        Path("other.json").write_text(json.dumps({**document, "proofs": proofs}))
        return fault(log("audit", "verify", "other.json", "--key", "log.vkey"))

    assert refused(leaf=2) == refused(event_hash="0" * 64) == refused(proof=[]) == "inclusion: root"
    assert refused(size=12) == "inclusion: size"
    assert refused(leaf="x") == "inclusion: malformed"
    assert fault(log("audit", "verify", "proofs.json", "--key", "eve.vkey")) == "head: origin"
    assert fault(log("audit", "verify", "proofs.json", "--key", "log.vkey", "--witness", "eve.vkey")) == "head: witness"


def test_one_event_is_proved_by_its_position(log: Refold) -> None:
    (proof,) = log("audit", "prove", "--position", 3, "--json").lines
    assert (proof["stream"], proof["version"], proof["leaf"], proof["size"]) == ("default/a", 2, 2, 11)
    assert log("audit", "prove", "--position", 99).code == 2
    assert log("audit", "prove").code == log("audit", "prove", "a", "--position", 1).code == 2
    assert log("audit", "prove", "nobody").code == 2
    log("run", "hello.json", "--run-id", "c")
    assert log("audit", "update").code == 0
    assert fault(log("audit", "prove", "c")) == "inclusion: newer"


def test_consistency_is_proved_between_sizes_and_heads(log: Refold) -> None:
    (proof,) = log("audit", "consistency", 4, "public", "--json").lines
    assert (proof["old"], proof["new"], proof["consistent"]) == (4, 11, True) and proof["proof"]
    assert fault(log("audit", "consistency", "public", 4)) == "head: stale"
    assert log("audit", "consistency", 4, 99).code == 2
    assert log("audit", "consistency", "none.head", 4).code == 2


def test_a_bundle_is_proved_layer_by_layer_without_anything_else(log: Refold, folder: Path) -> None:
    done = log("audit", "export", "a", "-o", "a.zip")
    assert done.out.endswith("under 11 leaves\n")
    first = Path("a.zip").read_bytes()
    assert log("audit", "export", "a", "-o", "a.zip").code == 0 and Path("a.zip").read_bytes() == first
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    for name in ("a.zip", "log.pub.pem", "keys.json", "eve.vkey", "public"):
        os.rename(name, elsewhere / name)
    os.chdir(elsewhere)
    done = log("audit", "verify", "a.zip", "--key", "log.pub.pem", "--golden-keys", "keys.json")
    assert done.code == 0, done
    assert "intact  a  completed  5 events" in done.out and "its HMAC verifies" in done.out
    (verdict,) = log("audit", "verify", "a.zip", "--key", "log.pub.pem", "--published", "public", "--json").lines
    assert verdict["ok"] and list(verdict["layers"]) == ["chain", "fold", "golden", "inclusion", "head"]
    done = log("audit", "verify", "a.zip", "--key", "log.pub.pem", "--witness", "eve.vkey")
    assert done.code == 4 and "has not signed it" in done.out
    Path("cut.zip").write_bytes(first[:-100])
    (verdict,) = log("audit", "verify", "cut.zip", "--key", "log.pub.pem", "--json").lines
    assert not verdict["ok"] and verdict["faults"][0]["layer"] == "bundle"
    assert log("audit", "verify", "a.zip").code == log("audit", "verify", "none.zip", "--key", "log.pub.pem").code == 2


def test_the_stand_alone_verifier_comes_with_the_command(log: Refold) -> None:
    assert log("audit", "export", "a", "-o", "a.zip").code == 0
    assert log("audit", "verifier", "-o", "verify_bundle.py").code == 0
    assert log("audit", "verifier").out == Path("verify_bundle.py").read_text()
    done = subprocess.run([sys.executable, "-I", "verify_bundle.py", "a.zip", "log.pub.pem"], capture_output=True)
    assert done.returncode == 0 and done.stdout.startswith(b"intact: default/a: 5 events")


def test_a_bundle_under_a_forked_head_is_told_by_the_published_one(log: Refold) -> None:
    assert log("audit", "export", "a", "-o", "a.zip").code == 0
    verify = ("audit", "verify", "a.zip", "--key", "log.vkey", "--published")
    Path("fork.head").write_bytes(sign_head(TreeHead("example.com/log", 11, bytes(32)), SigningKey.load("log.pem")))
    assert fault(log(*verify, "fork.head")) == "head: forked"
    log("run", "hello.json", "--run-id", "c")
    assert log("audit", "publish", "--to", "public").code == 0
    assert fault(log(*verify, "public")) == "consistency: missing"
    assert log("audit", "consistency", 11, "public", "-o", "proof.json").code == 0
    assert log(*verify, "public", "--proof", "proof.json").code == 0


def rewritten(records: list[Record]) -> list[Record]:
    """The run `b` as if it had greeted somebody else, every hash of it computed anew; nothing is left to find."""
    envelopes = [json.loads(record.state) for record in records]
    hashes: list[str] = []
    for number, envelope in enumerate(envelopes):
        data = envelope["data"]
        if records[number].topic == "step.completed":
            if data["step_id"] == "dice":  # its output follows from the seed alone, and no proof looks at it again
                data["output"] = {"value": 0.25}
                data["output_hash"] = sha256_hex(canonical_json(data["output"]))
            seed = step_seed(3, data["index"])
            hashed = (data["inputs_hash"], True, data["output_hash"], None)
            data["step_hash"] = step_hash(data["step_id"], data["index"], data["skill_id"], seed, *hashed)
            hashes.append(data["step_hash"])
        if records[number].topic == "run.completed":
            data["output"] = {"dice": {"value": 0.25}}
            data["output_hash"] = sha256_hex(canonical_json(data["output"]))
            data["workflow_hash"] = workflow_hash("b", "hello", 3, hashes, True, None)
    return [
        changed(record, lambda held, new=envelope: held.update(new))  # type: ignore[misc]
        for record, envelope in zip(records, envelopes, strict=True)
    ]


def test_whoever_has_the_database_and_all_keys_of_goldens_is_still_caught(log: Refold) -> None:
    """An event is rewritten in place, with outcome hashes, chain, head row, goldens and signatures all made anew."""
    shutil.copy("refold.db", "copy.db")
    for suffix in ("-wal", "-shm"):
        if Path(f"refold.db{suffix}").exists():
            shutil.copy(f"refold.db{suffix}", f"copy.db{suffix}")
    with closing(SQLiteStore(Path("copy.db"))) as store:
        records, head = rechained(rewritten(store.read("default/b")))
    with closing(sqlite3.connect("copy.db")) as database, database:
        for record in records:
            sql = "UPDATE stored_events SET state = ? WHERE originator_id = ? AND originator_version = ?"
            assert database.execute(sql, (record.state, record.stream, record.version)).rowcount == 1
        assert (
            database.execute("UPDATE stream_heads SET hash = ? WHERE stream = 'default/b'", (head.hash,)).rowcount == 1
        )
    here = ("--database", "sqlite:///copy.db")
    shutil.rmtree("goldens")
    assert log("golden", "write", "--all", *here).code == 0

    assert log("verify", "--all", *here).code == 0, "the forgery itself is not sound"
    assert log("golden", "verify", "--all", "--complete", *here).code == 0, "the forged goldens are not sound"
    done = log("audit", "check", "--head", "public", "--key", "log.vkey", *here)
    assert done.code == 4 and "they first differ at leaf 9, which is now event 4 of default/b" in done.out
    (verdict,) = log("audit", "check", "--head", "public", "--key", "log.vkey", *here, "--json").lines
    assert (verdict["differing"], verdict["first"]["leaf"], verdict["last"]["leaf"]) == (2, 9, 10)
    assert verdict["streams"] == ["default/b"]
    done = log("audit", "check", "--head", "public", "--key", "log.vkey", "--tree", "none", *here)
    assert done.code == 4 and "--tree" in done.out
    assert log("audit", "check", "--head", "public", "--key", "log.vkey").code == 0
    assert fault(log("audit", "export", "b", "-o", "b.zip", *here)) == "inclusion: missing"


def test_a_check_of_the_wrong_place_says_so(log: Refold) -> None:
    check = ("audit", "check", "--head")
    assert log(*check, "public").code == log(*check, "none", "--key", "log.vkey").code == 2
    assert log(*check, "public", "--key", "none.pem").code == 2
    assert log(*check, "public", "--key", "log.vkey", "--database", "sqlite:///none.db").code == 5
    assert fault(log(*check, "hello.json", "--key", "log.vkey")) == "head: malformed"
    assert fault(log(*check, "public", "--key", "eve.vkey")) == "head: origin"


class Shelf(BaseHTTPRequestHandler):
    """A server that takes PUT and gives back what it holds; `If-None-Match: *` keeps what is there."""

    held: dict[str, bytes]

    def do_GET(self) -> None:
        data = self.held.get(self.path)
        self.send_response(404 if data is None else 200)
        self.end_headers()
        self.wfile.write(data or b"")

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        taken = self.headers["If-None-Match"] == "*" and self.path in self.held
        if not taken:
            self.held[self.path] = data
        self.send_response(412 if taken else 201)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is told."""


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, bytes]]]:
    """Its URL, and what it holds."""
    held: dict[str, bytes] = {}
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Held", (Shelf,), {"held": held})) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}/heads/", held
        listening.shutdown()
        thread.join()


def test_heads_are_published_to_a_server_and_read_from_it(log: Refold, server: tuple[str, dict[str, bytes]]) -> None:
    url, held = server
    assert log("audit", "publish", "--to", url).code == 0
    assert log("audit", "publish", "--to", url).out.startswith("published already")
    log("run", "hello.json", "--run-id", "c")
    assert log("audit", "publish", "--to", url).code == 0
    assert len(held) == 3 and held["/heads/latest"] == held[sorted(held)[1]]
    assert log("audit", "check", "--head", url, "--key", "log.vkey").code == 0
    assert log("audit", "check", "--head", url + sorted(held)[0].rpartition("/")[2], "--key", "log.vkey").code == 0
    held["/heads/latest"] = sign_head(TreeHead("example.com/log", 16, bytes(32)), SigningKey.load("log.pem"))
    assert fault(log("audit", "publish", "--to", url)) == "head: forked"
    assert log("audit", "check", "--head", url + "none", "--key", "log.vkey").code == 2
    assert log("audit", "publish", "--to", "http://127.0.0.1:9/").code == 5


def test_a_tree_of_nothing_is_not_signed(refold: Refold, folder: Path) -> None:
    assert refold("audit", "keygen", "--name", "example.com/log", "-o", "log.pem").code == 0
    assert refold("audit", "head").code == refold("audit", "update").code == 5
    assert not Path("audit").exists()


@pytest.mark.parametrize("words", [("keygen", "--name", "example.com/log"), ("verifier",)])
@pytest.mark.parametrize("name", ["", ".", ".."])
def test_what_names_no_file_is_not_written_to(refold: Refold, folder: Path, words: tuple[str, ...], name: str) -> None:
    before = sorted(folder.iterdir())
    done = refold("audit", *words, "-o", name)
    assert done.code == 2 and "name" in done.err, done
    assert sorted(folder.iterdir()) == before
