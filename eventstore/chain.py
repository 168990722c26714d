"""The chain: every event carries the hash of its predecessor, as a git commit carries its parent's."""

from __future__ import annotations

from hashlib import sha256


def event_hash(stream: str, version: int, topic: str, state: bytes) -> str:
    """SHA-256 (hex) over an event's place, kind and stored bytes.

    The parts are joined by NUL, which occurs in none of the first three, so no two events share one input.
    """
    return sha256(f"{stream}\0{version}\0{topic}\0".encode() + state).hexdigest()
