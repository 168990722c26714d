"""What an audit finds wrong: in which layer, of which kind, and why, in a plain sentence."""

from __future__ import annotations

from typing import Any

from ..core.errors import IntegrityError


class AuditFault(IntegrityError):
    """One fault. `layer` is one of: bundle, chain, fold, golden, inclusion, consistency, head, tree, log.

    `kind` is one word for programs: malformed, unreadable, origin, unknown_key, signature, witness, size, stale,
    forked, root, missing, changed, damaged and the like; `reason` is for people.
    """

    def __init__(self, layer: str, kind: str, reason: str):
        super().__init__(f"{layer}: {kind}: {reason}")
        self.layer = layer
        self.kind = kind
        self.reason = reason

    def to_json(self) -> dict[str, Any]:
        """The fault as a JSON object of the same names."""
        return {"layer": self.layer, "kind": self.kind, "reason": self.reason}
