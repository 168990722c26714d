"""The reference of the API at /docs: all operations, from here alone."""

from __future__ import annotations

import re

from refold.tests.api.client import Api


def test_the_reference_shows_every_operation_and_loads_nothing_from_elsewhere(memory_api: Api) -> None:
    document = memory_api.get("/v1/openapi.json").json()
    page = memory_api.get("/docs")
    assert page.status_code == 200 and page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for path, item in document["paths"].items():
        for operation in item.values():
            assert f'id="{operation["operationId"]}"' in page.text, path
    assert "<script>" not in page.text and "style=" not in page.text and "<style" not in page.text
    links = re.findall(r'(?:src|href)="([^"#]*)', page.text)
    assert all(link == "" or (link.startswith("/") and not link.startswith("//")) for link in links), links
    again = memory_api.client.get("/docs", headers={"if-none-match": page.headers["etag"]})
    assert again.status_code == 304


def test_a_command_names_the_key_the_body_and_the_path(memory_api: Api) -> None:
    page = memory_api.get("/docs").text
    assert "curl -X PUT -H" in page and "$REFOLD_URL/v1/runs/order-7/bundle" in page
    assert "all tenants" in page and "scope read" in page
