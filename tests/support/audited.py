"""Logs with trees, keys and bundles to try things on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from refold.core.canonical import canonical_json
from refold.core.hashing import sha256_hex
from refold.eventstore.store import Store
from refold.replay.bundle_files import MANIFEST, pack, unpack
from refold.replay.bundles import export_run
from refold.replay.log_tree import update
from refold.replay.signing_keys import SigningKey
from refold.replay.tree_folder import TreeFolder
from refold.replay.tree_heads import Note, TreeHead, cosign, parse_note, sign_head

from .units import Writer, said

LOG_KEY = SigningKey.generate("example.com/log")
WITNESS_KEY = SigningKey.generate("witness.example/w1")
AT = 1_700_000_000
"""When the witness signs."""


def fill(store: Store, streams: int, events: int, writer: str = "writer") -> None:
    """Append `events` events to each of some streams, turn by turn."""
    by = Writer(writer)
    for number in range(events):
        units = [by.one(f"default/{writer}-{stream}", str(number)) for stream in range(streams)]
        assert all(store.commit(units, "")), "somebody else wrote to the same streams"


def long_append(store: Store, stream: str, texts: Sequence[str]) -> None:
    """Append many events to one stream at once."""
    assert store.commit([Writer(stream).unit((stream, [said(text) for text in texts]))], "") == [True]


def tree_of(store: Store, folder: Path) -> TreeFolder:
    """The tree over the log as it stands."""
    tree = TreeFolder(folder)
    update(store, tree)
    return tree


def signed(tree: TreeFolder, size: int | None = None) -> Note:
    """The tree's head (or the one it had at `size`), signed by the log and the witness."""
    size = tree.size if size is None else size
    head = TreeHead(LOG_KEY.name, size, tree.root_at(size))
    return parse_note(cosign(parse_note(sign_head(head, LOG_KEY)), WITNESS_KEY, AT))


def bundle_of(store: Store, folder: Path, run_id: str, golden: tuple[bytes, bytes | None] | None = None) -> bytes:
    """The bundle of a run under the log's head as it stands."""
    tree = tree_of(store, folder)
    return export_run(store, tree, signed(tree), run_id, "default", golden)


def repacked(data: bytes, name: str, content: bytes | None, *, manifest: bool = False) -> bytes:
    """The bundle with another file of this name, or without; with `manifest` bundle.json names what is there then."""
    files = unpack(data)
    if content is None:
        del files[name]
    else:
        files[name] = content
    if manifest:
        about = parse_manifest(files[MANIFEST])
        about["files"] = {each: sha256_hex(held) for each, held in files.items() if each != MANIFEST}
        files[MANIFEST] = canonical_json(about) + b"\n"
    return pack(files)


def parse_manifest(data: bytes) -> dict[str, Any]:
    """The content of bundle.json."""
    return orjson.loads(data)
