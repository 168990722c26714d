"""What the API answers to auditors."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from . import StoredEvent


class TreeHead(BaseModel):
    """A signed head: `checkpoint` is the C2SP checkpoint, byte for byte, whose signatures are verified by the log's
    public key; `root` is in hexadecimal."""

    origin: str
    size: int
    root: str
    signatures: int
    checkpoint: str


class Tree(BaseModel):
    """The tree over the log as far as it was built: so many leaves, the last of them at `position` of the log. `head`
    is the latest that was signed; null: none was."""

    size: int
    root: str
    position: int
    head: TreeHead | None


class Inclusion(BaseModel):
    """The proof (RFC 6962, from the leaf upwards, in base64) that an event is leaf number `leaf` of the tree."""

    stream: str
    version: int
    topic: str
    leaf: int
    size: int
    event_hash: str
    proof: list[str]


class InclusionPage(BaseModel):
    """Proofs of a run's events under the signed head. The next page begins after version `next_after`."""

    head: TreeHead
    proofs: list[Inclusion]
    next_after: int | None


class OneInclusion(BaseModel):
    """The proof of one event under the signed head."""

    head: TreeHead
    proof: Inclusion


class Consistency(BaseModel):
    """The proof (RFC 6962, in base64) that the tree of `new` leaves begins with that of `old`."""

    old: int
    new: int
    old_root: str
    new_root: str
    proof: list[str]


class ListedCertificate(BaseModel):
    """A certificate in the server's folder, by its file."""

    name: str
    size: int
    sha256: str


class CertificatePage(BaseModel):
    """Certificates by name."""

    certificates: list[ListedCertificate]
    next_cursor: str | None


class CheckedCertificate(BaseModel):
    """Whether a certificate can be believed, why, and what it says."""

    ok: bool
    standing: Literal["valid", "unsigned", "malformed", "altered", "unknown_key", "inconsistent", "other_log"]
    reason: str
    certificate: dict[str, Any] | None


class ControlStream(BaseModel):
    """A control stream: what operators decided about something, as events."""

    name: str
    events: int


class ControlStreams(BaseModel):
    """Control streams by name."""

    streams: list[ControlStream]
    next_cursor: str | None


class ControlEvents(BaseModel):
    """Events of a control stream, as stored; the next page begins after version `next_after`."""

    name: str
    events: list[StoredEvent]
    next_after: int | None


class Erased(BaseModel):
    """The runs whose sensitive data was erased: the one that was named, its forks, children and continuations."""

    tenant: str
    erased: list[str]
