"""When keys were last used, in every store."""

from __future__ import annotations

from refold.tests.contract.conftest import Place


def test_the_latest_use_of_a_key_is_kept(place: Place) -> None:
    uses = place.open().key_uses
    for key_id, at in (("a", 5), ("b", 2**53), ("a", 9), ("a", 7)):
        uses.note(key_id, at)
    assert place.open().key_uses.last() == {"a": 9, "b": 2**53}
