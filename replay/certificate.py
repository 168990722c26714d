"""The certificate of a job: what was proved of which log, by which code, and what came of it.

A JSON object of three members. `body` says everything and neither when nor where: equal jobs give equal bodies, byte
for byte, in canonical JSON (RFC 8785). `unsigned` holds the time. `signature`, where a key was given, is Ed25519 (RFC
8032) over the canonical bytes of `body` after a line that says what they are.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from ..core.canonical import canonical_json
from ..core.documents import parse_json
from ..core.errors import InvalidError, NotCanonicalError
from ..eventstore.store import Store
from .control import ControlVerification
from .fleet import hash_at
from .jobs import JobEnd
from .tally import Tally
from .verdicts import VERDICTS

FORMAT = "refold.certificate.v1"
"""The first line of what is signed: a signature over anything else means nothing here."""

MOST_BYTES = 16_000_000
"""No certificate is larger."""

_TOLD = ("kind", "event", "step_id", "pointer", "recorded", "recorded_hash")


class Signs(Protocol):
    """A private key with its name, such as `refold.replay.signing_keys.SigningKey`."""

    name: str

    def sign(self, data: bytes) -> bytes:
        """The signature over `data`."""
        ...


class Verifies(Protocol):
    """A public key, such as `refold.replay.signing_keys.VerifierKey`."""

    @property
    def name(self) -> str:
        """The key's name."""
        ...

    def verify(self, data: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's over `data`."""
        ...


def body_of(end: JobEnd, kind: str) -> dict[str, Any]:
    """What a job has found out, to be signed; `kind` is the kind of store, such as sqlite."""
    order, tally = end.order, end.tally
    query = order.query
    return {
        "format": FORMAT,
        "log": {"kind": kind, "tenant": query.tenant, "position": order.until, "head": order.head},
        "query": order.to_json()["query"],
        "against": order.against,
        "code": order.code,
        "proofs": list(order.proofs),
        "verdicts": tally.verdicts,
        "tally": tally.to_json(),
        "chunks": end.chunks,
        "digest": end.digest,
        "control": [_control(each) for each in end.control],
        "archives": None if end.archives is None else {"files": end.archives.archives, "ok": end.archives.ok},
        "first": [_first(run) for run in end.first],
    }


def certificate(body: Mapping[str, Any], made_at: str, key: Signs | None) -> bytes:
    """The certificate as a file's bytes; `made_at` is the time as text."""
    told: dict[str, Any] = {"body": body, "unsigned": {"made_at": made_at}}
    if key is not None:
        signature = base64.b64encode(key.sign(signed_bytes(body))).decode()
        told["signature"] = {"algorithm": "Ed25519", "key": key.name, "signature": signature}
    return canonical_json(told) + b"\n"


def signed_bytes(body: Mapping[str, Any]) -> bytes:
    """What a signature is over: the format, so that it is good for nothing else, and the body. Raises
    NotCanonicalError."""
    return str(body["format"]).encode() + b"\n" + canonical_json(body)


Standing = Literal["valid", "unsigned", "malformed", "altered", "unknown_key", "inconsistent", "other_log"]
"""What a certificate is found to be. Altered: the signature does not fit. Unknown key: it is signed by another one.
Inconsistent: what it says contradicts itself. Other log: the log that is here is not the one that it is about."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The verdict on a certificate, why, and its body, None where it cannot be read."""

    standing: Standing
    reason: str
    body: Mapping[str, Any] | None = None

    @property
    def ok(self) -> bool:
        """Whether it can be believed."""
        return self.standing == "valid"

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {"ok": self.ok, "standing": self.standing, "reason": self.reason, "certificate": self.body}


def check_certificate(data: bytes, key: Verifies | None, store: Store | None = None) -> Checked:
    """Check a certificate's signature by `key`, that it does not contradict itself, and with `store` that this log is
    the one that it is about. Without a key nobody knows who made it: it is `unsigned` at best. Raises StoreError."""
    found = check_signed(data, key, FORMAT)
    if found.body is None:
        return found
    body: Any = found.body
    try:
        why = _contradiction(body)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return Checked("malformed", f"something is missing in it: {_short(error)}")
    if why is not None:
        return Checked("inconsistent", why, body)
    if store is not None:
        position, head = body["log"]["position"], body["log"]["head"]
        if hash_at(store, position) != head:
            return Checked("other_log", f"the event at position {position} of this log is another one, or none", body)
    return found


def check_signed(data: bytes, key: Verifies | None, format_: str) -> Checked:
    """Check that a file is of this format, as it was written, and signed by `key`; without one it is `unsigned` at
    best. Its body is told where it is `valid` or `unsigned`; what that says is not looked at."""
    try:
        told: Any = parse_json(data, max_bytes=MOST_BYTES)
        body: Any = told["body"]
        signed = signed_bytes(body)
        whole = canonical_json(told) + b"\n" == data
        fits = body["format"] == format_ and told.keys() <= {"body", "signature", "unsigned"}
    except (InvalidError, NotCanonicalError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return Checked("malformed", f"it is no certificate: {_short(error)}")
    if not fits:
        return Checked("malformed", "it is no certificate of this version of Refold")
    if not whole:
        return Checked("altered", "it is not written as it was: the bytes are not canonical JSON")
    found = _signature(told.get("signature"), signed, key)
    if found is None:
        return Checked("valid", f"signed by {told['signature']['key']}", body)
    return replace(found, body=body) if found.standing == "unsigned" else found


def _signature(told: Any, signed: bytes, key: Verifies | None) -> Checked | None:
    """What is wrong with the signature; None for nothing."""
    if key is None:
        return Checked("unsigned", "no key was given to check it by, so nobody knows who made it")
    if told is None:
        return Checked("unsigned", "it is not signed")
    try:
        name, signature = told["key"], base64.b64decode(told["signature"], validate=True)
        known = told["algorithm"] == "Ed25519" and isinstance(name, str)
    except (KeyError, TypeError, ValueError, binascii.Error):
        return Checked("malformed", "its signature cannot be read")
    if not known:
        return Checked("malformed", "its signature is of an unknown kind")
    if key.verify(signed, signature):
        return None if name == key.name else Checked("altered", "the name of its key is another one than the key's")
    if name != key.name:
        return Checked("unknown_key", f"it is signed by {ascii(name)[:70]}, and the key that was given is {key.name!r}")
    return Checked("altered", "its signature does not fit: it was altered, or signed by another key of the same name")


def _contradiction(body: Mapping[str, Any]) -> str | None:
    tally = Tally.of_json(body["tally"])
    if dict(tally.verdicts) != dict(body["verdicts"]) or sum(tally.verdicts.values()) != tally.runs:
        return "its counts do not add up"
    for proof, counts in tally.proofs.items():
        if set(counts) - set(VERDICTS) or sum(counts.values()) > tally.runs:
            return f"its counts of the proof {ascii(proof)[:40]} do not add up"
    bad = tally.verdicts["diverged"] + tally.verdicts["broken"]
    if len(body["first"]) > bad or (bad and not body["first"]):
        return "it names other runs than it counts"
    if len(bytes.fromhex(body["digest"])) != 32:
        return "its digest is none"
    if body["query"]["tenant"] != body["log"]["tenant"]:
        return "its query is of another tenant than its log"
    position, head = body["log"]["position"], body["log"]["head"]
    if type(position) is not int or position < 0 or (head is None) != (position == 0):
        return "its log has a head without an event, or none"
    return None


def _control(each: ControlVerification) -> dict[str, Any]:
    return {"stream": each.stream, "about": each.about, "events": each.events, "ok": each.ok}


def _first(run: Mapping[str, Any]) -> dict[str, Any]:
    """Of a run that is not as recorded: what is recorded. What it gives now may be another thing each time."""
    proof, result = next((p, r) for p, r in run["proofs"].items() if r["verdict"] in ("diverged", "broken"))
    found: dict[str, Any] = result.get("divergence") or {}
    told = {name: found.get(name) for name in _TOLD}
    return {
        "run_id": run["run_id"],
        "workflow_type": run["workflow_type"],
        "proof": proof,
        "verdict": run["verdict"],
        **told,
    }


def _short(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}"
    return ascii(text)[1:-1][:200]
