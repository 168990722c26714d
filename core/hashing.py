"""Outcome hashes: what a step did and how a run ended, and nothing of when or where.

No time, duration, cost, attempt count or worker name enters them, so any worker, store or number of crashes
gives the same ones. The other kind of hash, the chain over stored bytes, lives with the log and is never mixed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import orjson


def sha256_hex(data: bytes) -> str:
    """SHA-256 (FIPS 180-4) of `data` as 64 lower-case hexadecimal digits."""
    return sha256(data).hexdigest()


def step_hash(
    step_id: str,
    index: int | str,
    skill_id: str,
    seed: int,
    inputs_hash: str | None,
    success: bool | None,
    output_hash: str | None,
    error_code: str | None,
) -> str:
    """SHA-256 over the canonical JSON of an object with exactly these names.

    `success` is None for a skipped step. `inputs_hash` is None where no inputs came about (skipped, or a reference
    that could not be resolved); `output_hash` is None unless the step succeeded.
    """
    return _hash_of(
        {
            "error_code": error_code,
            "index": index,
            "inputs_hash": inputs_hash,
            "output_hash": output_hash,
            "seed": seed,
            "skill_id": skill_id,
            "step_id": step_id,
            "success": success,
        }
    )


def workflow_hash(
    run_id: str,
    workflow_type: str,
    seed: int,
    step_hashes: Sequence[str | None],
    success: bool,
    error_code: str | None,
) -> str:
    """SHA-256 over the canonical JSON of `{run_id, workflow_type, seed, step_hashes, success, error_code}`."""
    return _hash_of(
        {
            "error_code": error_code,
            "run_id": run_id,
            "seed": seed,
            "step_hashes": step_hashes,
            "success": success,
            "workflow_type": workflow_type,
        }
    )


def _hash_of(fields: dict[str, object]) -> str:
    # The names stand in order, and no float occurs here: so what orjson writes is RFC 8785's form.
    return sha256(orjson.dumps(fields)).hexdigest()
