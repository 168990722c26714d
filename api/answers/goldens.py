"""What the API answers about goldens."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class ListedGolden(BaseModel):
    """A golden: the run that it names (null: it cannot be read), its file, when the run ended, its size in bytes."""

    run_id: str | None
    name: str
    ended_at: str | None
    size: int


class GoldenPage(BaseModel):
    """Goldens by the names of their files; those in archives are not among them."""

    goldens: list[ListedGolden]
    next_cursor: str | None


class GoldenFile(BaseModel):
    """A golden as it lies there: `data` is the text of the `.jsonl` file, byte for byte in UTF-8, `sha256` its hash,
    `signature` the text of the file beside it (null: there is none)."""

    run_id: str
    tenant: str
    name: str
    ended_at: str
    sha256: str
    data: str
    signature: str | None


class GoldenVerdict(BaseModel):
    """Whether the golden is what was signed (by the key `key_id`) and what the log gives, and if not, why."""

    run_id: str
    tenant: str
    ok: bool
    key_id: str | None
    faults: list[dict[str, Any]]
