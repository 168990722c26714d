"""Numbers that follow from the seed alone, so that a replay draws the same ones.

All are SHA-256 over a short text, cut to 53 bits: the integers that JSON (RFC 8259, section 6) carries exactly.
"""

from __future__ import annotations

from hashlib import sha256

MAX_SEED = 2**53 - 1
"""The largest base seed, and the largest step seed."""


def derive(text: str) -> int:
    """The first 53 bits of SHA-256 over `text` in UTF-8, as an integer of 0 to 2^53-1."""
    return int.from_bytes(sha256(text.encode()).digest()[:7], "big") >> 3


def step_seed(seed: int, index: int | str) -> int:
    """The seed of the step at `index` in a run of base seed `seed`: `derive("{seed}:{index}")`.

    In a workflow function the path of the call is its index.
    """
    return derive(f"{seed}:{index}")


def unit_interval(text: str) -> float:
    """A number in [0, 1) that follows from `text`, exact to 53 bits."""
    return derive(text) / 2**53
