"""Which runs there are, by whatever is left of them: what an audit of everything walks over."""

from __future__ import annotations

from refold.eventstore.store import Store
from refold.tests.support.units import Writer


def test_a_run_is_known_by_its_events_its_inbox_or_its_head(store: Store) -> None:
    writer = Writer()
    store.commit([writer.one("default/b"), writer.one("default/a/inbox"), writer.one("default/c")], "me")
    store.commit([writer.one("default0/x"), writer.one("other/y")], "me")
    assert store.streams("default") == ["default/a", "default/b", "default/c"]
    assert store.streams("nobody") == []
