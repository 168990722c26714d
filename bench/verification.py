"""Proving runs whose records are at hand: the proofs alone, without the time to fetch."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence

from refold.core.ports import Head, Record
from refold.eventstore.chain import event_hash
from refold.eventstore.codec import open_all
from refold.replay.chain import prove_chain
from refold.replay.folding import prove_fold


def verify_all(records: Sequence[Record]) -> float:
    """Seconds to prove chain and fold of every run in `records`."""
    streams: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        streams[record.stream].append(record)
    heads = {
        stream: Head(own[-1].version, event_hash(stream, own[-1].version, own[-1].topic, own[-1].state))
        for stream, own in streams.items()
    }
    started = time.perf_counter()
    for stream, own in streams.items():
        opened = open_all(own)
        findings = prove_chain(stream, own, heads[stream], {}, opened)
        findings += prove_fold(stream, own, {}, (), opened)[1]
        if findings:
            raise SystemExit(f"a sound run was found unsound: {findings[0]}")
    return time.perf_counter() - started
