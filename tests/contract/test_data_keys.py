"""The table of data keys, in every store."""

from __future__ import annotations

from refold.eventstore.data_key_rows import DataKeyRow
from refold.tests.contract.conftest import Place


def test_rows_are_added_once_found_wrapped_anew_and_destroyed_for_good(place: Place) -> None:
    keys = place.open().data_keys
    rows = [
        DataKeyRow("t/a", None, "s1", "d1", b"\0wrapped", 5),
        DataKeyRow("t/a~1", "t/a", "s1", "d1", b"other", 6),
        DataKeyRow("t/b", None, None, "d1", b"third", 2**53),
    ]
    for row in rows:
        keys.add(row)
    keys.add(rows[0]._replace(wrapped=b"another"))
    assert keys.get("t/a") == rows[0] and keys.get("t/none") is None
    assert keys.rows("", 10) == rows and keys.rows("t/a", 1) == [rows[1]]
    assert keys.of_subject("s1") == ["t/a", "t/a~1"] and keys.children("t/a") == ["t/a~1"]
    keys.rewrap("t/a", "d2", b"new")
    assert keys.get("t/a") == rows[0]._replace(key_id="d2", wrapped=b"new")
    assert keys.destroy("t/a") and not keys.destroy("t/a") and not keys.destroy("t/none")
    keys.rewrap("t/a", "d3", b"back")
    keys.add(rows[0])
    assert keys.get("t/a") == rows[0]._replace(key_id="d2", wrapped=None)
