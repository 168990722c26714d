"""`refold dispatch list` on a long table."""

from __future__ import annotations

from refold.tests.cli.driver import Refold, Write


def test_no_more_rows_of_the_dispatch_table_are_listed_than_asked_for(refold: Refold, write: Write) -> None:
    name = write({"step_id": "one", "skill_id": "echo"})
    for run_id in "abc":
        assert refold("start", name, "--run-id", run_id).code == 0
    some = refold("dispatch", "list", "--limit", "2", "--json")
    assert [row["stream"] for row in some.lines] == ["default/a", "default/b"]
    assert "more: 3 rows in all" in some.err
    assert "more" not in refold("dispatch", "list", "--limit", "3").err
