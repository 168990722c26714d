"""A look has one shape, and the worst of its checks is its verdict."""

from __future__ import annotations

from refold.core.checks import Check, overall


def test_the_worst_check_decides() -> None:
    well, warned, bad = Check("a", "ok"), Check("b", "warning"), Check("c", "failed")
    assert overall([]) == overall([well]) == "ok"
    assert overall([warned, well]) == "warning" and not warned.failed
    assert overall([well, bad, warned]) == "failed" and bad.failed


def test_a_check_is_told_whole() -> None:
    check = Check("disk:store", "failed", 1.0, 2.0, "bytes", "little is free", "refold store archive --older-than 30d")
    assert check.to_json() == {
        "name": "disk:store",
        "state": "failed",
        "value": 1.0,
        "limit": 2.0,
        "unit": "bytes",
        "detail": "little is free",
        "fix": "refold store archive --older-than 30d",
    }
