"""HEAD: what GET says of itself, and none of its content."""

from __future__ import annotations

import pytest

from refold.tests.api.client import Api

NOT_OF_BOTH = {"date", "transfer-encoding", "set-cookie"}


@pytest.mark.parametrize("path", ["/health", "/v1/runs/r", "/v1/runs/missing", "/v1/runs?limit=0", "/runs", "/"])
def test_head_is_get_without_its_content(memory_api: Api, path: str) -> None:
    memory_api.start()
    get, head = memory_api.client.get(path), memory_api.client.head(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    told = [{name: each.headers[name] for name in each.headers if name not in NOT_OF_BOTH} for each in (get, head)]
    assert told[0].keys() == told[1].keys() and told[0].get("content-length") == told[1].get("content-length")


def test_head_of_what_takes_no_get_is_refused_and_does_nothing(memory_api: Api) -> None:
    memory_api.start()
    before = memory_api.store.last_position()
    refused = memory_api.client.head("/v1/runs/r/cancel")
    assert (refused.status_code, refused.headers["allow"], refused.content) == (405, "POST", b"")
    assert memory_api.store.last_position() == before
    assert "GET, HEAD" in memory_api.client.put("/v1/runs").headers["allow"]


def test_head_of_a_stream_ends_at_once(memory_api: Api) -> None:
    memory_api.start()
    location = memory_api.post("/v1/runs:pause", {"filter": {}}).headers["location"]  # Nobody works on it.
    for path in [f"{location}/events"] * 60 + ["/v1/events", "/v1/runs/r/events"]:  # More than there are places for.
        head = memory_api.client.head(path, headers={"accept": "text/event-stream"}, timeout=20)
        assert head.status_code == 200 and head.headers["content-type"].startswith("text/event-stream")
