"""Verifies an audit bundle of Refold with the standard library and `cryptography` alone; made to be read.

    python -I verify_bundle.py BUNDLE.zip KEY.pub.pem [WITNESS.pub.pem]...

The keys come to you by another way than the bundle. Verified: the signatures of log and witnesses on the tree head
(c2sp.org/tlog-checkpoint, tlog-cosignature); that every event is under it (RFC 9162); the chain; every output, step and
workflow hash and the golden, computed again. Not verified: inputs that follow from references, the engine's rules,
skills run again (`refold replay`), the golden's HMAC. Later events of a run that goes on, and messages that it did not
take, may be missing. Exit code 0: all holds. 4: something does not. 2: the call is wrong.
"""

from __future__ import annotations

import base64
import io
import json
import re
import sys
import zipfile
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

_SUCCESS: dict[str, bool | None] = {"step.completed": True, "step.failed": False, "step.skipped": None}
_END = {f"run.{how}": how for how in ("completed", "failed", "rejected", "cancelled", "timed_out")}
_GOLDEN = ("golden.steps.jsonl", "golden.steps.jsonl.sig")  # As its files are called in the bundle.


def need(holds: bool, otherwise: str) -> None:
    """Say what is wrong unless it holds."""
    if not holds:
        raise ValueError(otherwise)


def canonical(value: Any) -> str:
    """RFC 8785, JSON Canonicalization Scheme."""
    if isinstance(value, dict):
        names = sorted(cast("dict[str, Any]", value), key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(f"{canonical(name)}:{canonical(value[name])}" for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, cast("list[Any]", value))) + "]"
    if not isinstance(value, float) or not value:
        return "0" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
    # As ECMAScript writes numbers (RFC 8785, 3.2.2.3): the shortest digits that read back, then the point by rule.
    sign, parts = "-" if value < 0 else "", Decimal(repr(abs(value))).normalize().as_tuple()
    digits = "".join(map(str, parts.digits))
    point = len(digits) + int(parts.exponent)
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    return f"{sign}{digits[0]}{'.' * (len(digits) > 1)}{digits[1:]}e{point - 1:+d}"


def parse(data: bytes, what: str) -> Any:
    """The value of canonical JSON; integers beyond 2^53-1 are floats there."""
    value = json.loads(data, parse_int=lambda text: int(text) if abs(int(text)) < 2**53 else float(text))
    need(canonical(value).encode() == data, f"{what} is not canonical JSON")
    return value


def hashed(value: Any) -> str:
    """SHA-256 of the canonical JSON."""
    return sha256(canonical(value).encode()).hexdigest()


def decoded(text: str) -> bytes:
    """Base64, of which each value has one form."""
    data = base64.b64decode(text)
    need(base64.b64encode(data).decode() == text, "something is not base64 as it must be")
    return data


def unpack(data: bytes) -> dict[str, bytes]:
    """The files of the bundle, whose bytes must be those that their content is written as."""
    with zipfile.ZipFile(io.BytesIO(data)) as bundle:
        need(sum(entry.file_size for entry in bundle.infolist()) <= 2**30, "bundle: it is larger than any can be")
        files = {name: bundle.read(name) for name in bundle.namelist()}
    again = io.BytesIO()
    with zipfile.ZipFile(again, "w") as bundle:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            bundle.writestr(entry, files[name])
    need(again.getvalue() == data, "bundle: its bytes are not those that its content is written as")
    return files


def load_key(path: str) -> tuple[str, bytes]:
    """Name and public key, from a PEM file with the line `Refold-Key-Name: NAME`."""
    data = Path(path).read_bytes()
    public = load_pem_public_key(data).public_bytes(Encoding.Raw, PublicFormat.Raw)
    return re.findall(rb"^Refold-Key-Name: (\S+)$", data, re.MULTILINE)[0].decode(), public


def verify_head(note: bytes, keys: list[tuple[str, bytes]]) -> tuple[int, bytes]:
    """Size and root of the tree head, if it is signed by the log, whose key is the first one, and every witness."""
    body, lines = note.decode().removesuffix("\n").rsplit("\n\n", 1)
    origin, size, root = body.split("\n")
    need(note[-1:] == b"\n" and origin == keys[0][0], f"head: it is of the log {origin}, the key is of {keys[0][0]}")
    signatures = [line.removeprefix("— ").split(" ") for line in lines.split("\n")]
    for name, public in keys:
        kind = b"\4" if (name, public) != keys[0] else b"\1"  # c2sp.org/signed-note: 1 is a plain signature
        key_id = sha256(name.encode() + b"\n" + kind + public).digest()[:4]
        own = [text for who, signature in signatures if (text := decoded(signature))[:4] == key_id and who == name]
        need(own != [], f"head: no signature on it is by the key {name} {key_id.hex()}")
        at, signed = (own[0][4:12], own[0][12:]) if kind == b"\4" else (b"", own[0][4:])
        prefix = f"cosignature/v1\ntime {int.from_bytes(at, 'big')}\n" if at else ""
        Ed25519PublicKey.from_public_bytes(public).verify(signed, f"{prefix}{body}\n".encode())
    return int(size), decoded(root)


def is_included(leaf: bytes, at: int, size: int, proof: list[str], root: bytes) -> bool:
    """RFC 9162, 2.1.3.2."""
    found, last, inside = sha256(b"\0" + leaf).digest(), size - 1, 0 <= at < size
    for sibling in map(decoded, proof):
        left = at & 1 or at == last
        found = sha256(b"\1" + (sibling + found if left else found + sibling)).digest()
        while left and not at & 1 and at:
            at, last = at >> 1, last >> 1
        at, last = at >> 1, last >> 1
    return inside and last == 0 and found == root


def verify_stream(stream: str, data: bytes, head: list[Any], size: int, root: bytes) -> list[dict[str, Any]]:
    """The events of a stream, if they are chained to one another and to its head, and each is under the tree head."""
    events: list[dict[str, Any]] = []
    link: str | None = None
    for number, line in enumerate(data.splitlines(), 1):
        where = f"event {number} of {stream}"
        entry = parse(line, where)
        state = parse(entry["state"].encode(), where)
        need((entry["stream"], entry["version"]) == (stream, number), f"chain: {where} is another one")
        need(state["prev"] == link, f"chain: {where} does not carry the hash of its predecessor")
        link = sha256(f"{stream}\0{number}\0{entry['topic']}\0{entry['state']}".encode()).hexdigest()
        path = bytes.fromhex(link), entry["leaf"], size, entry["proof"], root
        need(is_included(*path), f"inclusion: {where} is not under the tree head")
        events.append({**state["data"], "topic": entry["topic"], "build": state["build"]})
    need(head == [len(events), link], f"chain: the end of {stream} is not the one that is named")
    return events


def verify_run(events: list[dict[str, Any]], files: dict[str, bytes]) -> tuple[str, str | None, str]:
    """How the run stands, the hash of its spec or source, and its golden (before its end ""): all computed again."""

    def payload(event: dict[str, Any], name: str) -> Any:
        place = f"large/{event.get(f'{name}_ref')}"
        return parse(files[place], place) if f"{name}_ref" in event else event.get(name)

    start, spec, outcomes = events[0], payload(events[0], "spec"), dict[Any, dict[str, Any]]()
    aborts = [s["step_id"] for s in spec["steps"] if (s.get("on_error") or "abort") == "abort"] if spec else []
    for event in (event for event in events if event["topic"] in (*_SUCCESS, "step.reused")):
        index, topic, output = event["index"], event["topic"], payload(event, "output")
        digest = event.get("output_hash") if topic != "step.reused" or event["error_code"] else hashed(output)
        if topic == "step.reused":  # The outcome was taken over from the run that this one was forked from.
            topic = "step.failed" if event["error_code"] else "step.completed"
        need(digest is None or hashed(output) == digest, f"fold: the output of {event['step_id']} was changed")
        seed = int.from_bytes(sha256(f"{start['seed']}:{index}".encode()).digest()[:7], "big") >> 3
        about = {name: event.get(name) for name in ("error_code", "index", "inputs_hash", "skill_id", "step_id")}
        step = hashed({**about, "seed": seed, "success": _SUCCESS[topic], "output_hash": digest})
        once = step == event["step_hash"] and index not in outcomes
        need(once, f"fold: the step hash of {event['step_id']} is not that of what it did, or there are two")
        about |= {"event": "step", "output": output, "seed": seed, "status": topic[5:], "step_hash": step}
        outcomes[index] = about
    if spec is None:
        counted = sorted(outcomes, key=lambda path: [int(number) for number in path.split(".")])
    else:
        failed = [at for at, step in outcomes.items() if step["status"] == "failed" and step["step_id"] in aborts]
        counted = list(range(min(failed) + 1 if failed else len(spec["steps"])))
    end, hashes = events[-1], [outcomes[at]["step_hash"] if at in outcomes else None for at in counted]
    code = hashed(spec) if spec else start.get("source")
    if end["topic"] not in (*_END, "run.continued"):
        return "has not ended", code, ""
    status, output, error = _END.get(end["topic"], "completed"), payload(end, "output"), end.get("error_code")
    about = {name: start[name] for name in ("run_id", "seed", "workflow_type")}
    whole = hashed({**about, "error_code": error, "step_hashes": hashes, "success": status == "completed"})
    need(whole == end["workflow_hash"], "fold: the workflow hash is not that of what the run did")
    need("output_hash" not in end or hashed(output) == end["output_hash"], "fold: the run's output was changed")
    first = {"event": "run_start", "format": 1, "inputs_hash": hashed(payload(start, "inputs")), "replay": False}
    first |= {"run_id": start["run_id"], "seed": start["seed"], "source_hash": start.get("source")}
    first |= {"spec_hash": spec and code, "spec_id": f"{start['workflow_type']}#{start['workflow_version']}"}
    last = {"event": "run_end", "output": output, "output_hash": end.get("output_hash"), "step_hashes": hashes}
    last |= {"continued_as": end.get("successor"), "error_code": error, "status": status, "workflow_hash": whole}
    lines = [{**first, "tenant": start["tenant"]}, *(outcomes[at] for at in counted if at in outcomes), last]
    return f"{status}, workflow hash {whole}", code, "".join(canonical(line) + "\n" for line in lines)


def verify(data: bytes, keys: list[tuple[str, bytes]]) -> str:
    """What the bundle proves, in a line; raises an exception that says what does not hold."""
    files = unpack(data)
    size, root = verify_head(files["checkpoint"], keys)
    told = parse(files.pop("bundle.json").removesuffix(b"\n"), "bundle.json")
    stream = f"{told['tenant']}/{told['run_id']}"
    both, heads = {stream: "events.jsonl", f"{stream}/inbox": "inbox.jsonl"}, told["heads"]
    need(heads.keys() <= both.keys(), "bundle: bundle.json names other streams")
    events, messages = (
        verify_stream(each, files.get(file, b""), heads.get(each, [0, None]), size, root) for each, file in both.items()
    )
    named = [events[0].get(name) for name in ("topic", "tenant", "run_id")]
    need(named == ["run.started", *stream.split("/")], "fold: the events are of another run")
    large = {digest for event in events + messages for name, digest in event.items() if name.endswith("_ref")}
    need(all(sha256(files[f"large/{each}"]).hexdigest() == each for each in large), "chain: a payload was changed")
    places = {"checkpoint", *both.values(), *_GOLDEN, *(f"large/{digest}" for digest in large)}
    need(files.keys() <= places, "bundle: something in it has no place in a bundle")
    stands, code, golden = verify_run(events, files)
    need(files.get(_GOLDEN[0], golden.encode()) == golden.encode(), "golden: it is not what the events give")
    said = {"builds": sorted({event["build"] for event in events + messages}), "spec_hash": code, "format": 1}
    said |= {"files": {name: sha256(held).hexdigest() for name, held in files.items()}, "heads": heads}
    need(told == said | {name: told[name] for name in ("run_id", "tenant")}, "bundle: bundle.json says what is not so")
    return f"{stream}: {len(events)} events, {len(messages)} messages under {size} of {keys[0][0]}; {stands}"


def main(words: list[str]) -> int:
    """The command line; returns the exit code."""
    try:
        need(len(words) > 1, "usage: verify_bundle.py BUNDLE.zip KEY.pub.pem [WITNESS.pub.pem]...")
        data, keys = Path(words[0]).read_bytes(), [load_key(word) for word in words[1:]]
    except Exception as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        sys.stdout.write(f"intact: {verify(data, keys)}\n")
    except Exception as error:  # whatever it is, the bundle is not what it has to be
        sys.stdout.write(f"NOT INTACT: {str(error) or 'head: a signature is not over its text'}\n")
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
