"""Another tenant's run and one that there is not: the same work, and the same answer."""

from __future__ import annotations

from typing import Any

import pytest

from refold.tests.api.client import Api, problem

ASKED = ("read", "heads", "starts", "large", "runs", "streams")


@pytest.mark.parametrize("path", ["", "/events", "/result?wait=5", "/verify"])
def test_the_store_is_asked_the_same_of_both(memory_api: Api, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    memory_api.start(run_id="mine-1")
    calls: list[tuple[str, str]] = []
    for name in ASKED:
        asked = getattr(memory_api.store, name)

        def counted(*given: Any, _name: str = name, _asked: Any = asked) -> Any:
            calls.append((_name, repr(given)))
            return _asked(*given)

        monkeypatch.setattr(memory_api.store, name, counted)

    def of(run_id: str) -> tuple[str, list[tuple[str, str]]]:
        calls.clear()
        answer = memory_api.client.get(f"/v1/runs/{run_id}{path}", headers={"refold-tenant": "other"})
        problem(answer, 404, "RUN_NOT_FOUND")
        return answer.text.replace(run_id, "ID"), [(name, given.replace(run_id, "ID")) for name, given in calls]

    assert of("mine-1") == of("none-1")
