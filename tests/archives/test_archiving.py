"""Whatever can be read before runs are archived reads the same afterwards, and when they are back."""

from __future__ import annotations

from refold.eventstore.tiered import TieredStore
from refold.tests.support.archived import (
    archive,
    bring_back,
    ended_streams,
    hot_streams,
    opened,
    readable,
)


async def test_all_reads_the_same_after_archiving_and_after_coming_back(filled: TieredStore, url: str) -> None:
    until = filled.last_position()
    before = readable(filled, until)
    ended = ended_streams(filled)
    assert len(ended) > 25
    work, made = archive(filled)
    assert work.left == [] and [each.runs for each in made] == [len(ended)]
    assert not set(ended) & hot_streams(filled), "nothing of them is left in the tables"
    assert hot_streams(filled), "open runs stay"
    assert readable(filled, until) == before
    other = opened(url)
    assert readable(other, until, size=500) == before, "as another process sees it"
    other.close()
    assert bring_back(filled, *ended) == len(ended)
    assert set(ended) <= hot_streams(filled)
    assert filled.index.in_use() == []
    assert readable(filled, until) == before
