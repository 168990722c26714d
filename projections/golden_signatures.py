"""Signatures of goldens: HMAC-SHA-256 (RFC 2104) over whose golden it is and its exact bytes, in one line beside it.

The identity is signed with the bytes, so a golden with its signature cannot pass for another run's.
"""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from typing import cast

from ..core.canonical import canonical_json, decode
from .golden_faults import GoldenFault
from .golden_keys import GoldenKeys
from .golden_lines import Golden

ALGORITHM = "HMAC-SHA-256"
"""What signatures are made with, and says so in each of them."""

_FIELDS = {"algorithm", "hmac", "key_id", "run_id", "tenant"}
_HMAC = re.compile("[0-9a-f]{64}")


def sign(golden: Golden, keys: GoldenKeys) -> bytes:
    """The content of the signature file, under the current key."""
    about = _about(golden.tenant, golden.run_id, keys.current)
    return canonical_json({**about, "hmac": _hmac(keys.secret_to_sign(), about, golden.data)}) + b"\n"


def check_signature(tenant: str, run_id: str, data: bytes, signature: bytes | None, keys: GoldenKeys, now: int) -> str:
    """The id of the key under which `data` was signed as the golden of this run.

    `now`, in microseconds since the epoch, is compared with the time at which keys are retired. Raises GoldenFault.
    """
    said = _parsed(signature)
    if said["algorithm"] != ALGORITHM:
        raise GoldenFault(0, "signature", f"the algorithm {ascii(said['algorithm'])[:40]} is not {ALGORITHM}")
    if (said["tenant"], said["run_id"]) != (tenant, run_id):
        raise GoldenFault(0, "identity", "the signature is of another run")
    key_id = said["key_id"]
    secret, reason = keys.secret_to_verify(key_id, now)
    if secret is None:
        raise GoldenFault(0, "key", reason)
    made = _hmac(secret, _about(tenant, run_id, key_id), data)
    if not hmac.compare_digest(made, said["hmac"]):
        raise GoldenFault(0, "signature", f"these bytes are not those that were signed under key {key_id!r}")
    return key_id


def _about(tenant: str, run_id: str, key_id: str) -> dict[str, str]:
    return {"algorithm": ALGORITHM, "key_id": key_id, "run_id": run_id, "tenant": tenant}


def _hmac(secret: bytes, about: dict[str, str], data: bytes) -> str:
    # Canonical JSON holds no line end, so what is signed can be taken apart in one way only.
    return hmac.new(secret, canonical_json(about) + b"\n" + data, sha256).hexdigest()


def _parsed(signature: bytes | None) -> dict[str, str]:
    if signature is None:
        raise GoldenFault(0, "unsigned", "there is no signature beside it")
    try:
        value: object = decode(signature)
        said = cast("dict[str, object]", value) if isinstance(value, dict) else {}
        fits = canonical_json(said) + b"\n" == signature and said.keys() == _FIELDS
    except (ValueError, RecursionError, OverflowError):
        fits, said = False, {}
    texts = {name: text for name, text in said.items() if isinstance(text, str)}
    if not fits or len(texts) != len(_FIELDS) or not _HMAC.fullmatch(texts["hmac"]):
        raise GoldenFault(0, "signature", "the signature file is not as we write it")
    return texts
