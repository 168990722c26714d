"""The OpenAPI document is complete: whoever generates a client or reads the reference finds all that there is."""

from __future__ import annotations

import re
from typing import Any

import jsonschema

from refold.tests.api.client import Api

METHODS = {"get", "post", "put", "patch", "delete"}


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


BODILESS = {"POST /v1/runs/{run_id}/verify"}
"""Nothing need be said to them."""


def test_every_operation_says_all_that_a_client_needs(memory_api: Api) -> None:
    found = operations(memory_api.get("/v1/openapi.json").json())
    lacking: list[str] = []
    for name, operation in found.items():
        answers = operation["responses"]
        bodies = operation.get("requestBody", {}).get("content", {})
        lacking += [
            f"{name}: {what}"
            for what, there in {
                "a summary": re.fullmatch(r"[A-Z].{3,79}[^.]", operation.get("summary", "")),
                "a description": len(operation.get("description", "")) > 10,
                "an id that reads well": re.fullmatch(r"[a-z]+(_[a-z]+)*", operation.get("operationId", "")),
                "a tag": operation.get("tags"),
                "who may": "security" in operation,
                "problems": all("application/problem+json" in answers[each]["content"] for each in ("4XX", "5XX")),
                "an answer": any(status.startswith("2") for status in answers),
                "an example of its body": all("example" in each for each in bodies.values()),
                "an example of its answer": all(
                    "example" in each
                    for status, told in answers.items()
                    if status.startswith("2")
                    for kind, each in told.get("content", {}).items()
                    if kind == "application/json"
                ),
                "a body": operation.get("requestBody") or name in BODILESS or not re.match("POST|PUT|PATCH", name),
            }.items()
            if not there
        ]
    assert not lacking, lacking
    ids = [operation["operationId"] for operation in found.values()]
    assert len(set(ids)) == len(ids), sorted(each for each in ids if ids.count(each) > 1)
    open_to_all = {name for name, operation in found.items() if not operation["security"]}
    assert {"GET /health", "GET /ready"} <= open_to_all and not any("/runs" in name for name in open_to_all)


def test_every_example_is_what_its_schema_says(memory_api: Api) -> None:
    document = memory_api.get("/v1/openapi.json").json()
    wrong: list[str] = []
    for name, operation in operations(document).items():
        contents = [("body", operation.get("requestBody", {}))]
        contents += [(status, told) for status, told in operation["responses"].items() if status.startswith("2")]
        for where, told in contents:
            for content in told.get("content", {}).values():
                if "example" not in content:
                    continue
                schema = {**content["schema"], "components": document["components"]}
                for error in jsonschema.Draft202012Validator(schema).iter_errors(content["example"]):
                    wrong.append(f"{name} {where} {error.json_path}: {error.message[:120]}")
    assert not wrong, "\n".join(wrong)


def test_what_concerns_every_tenant_takes_a_caller_for_all_of_them(memory_api: Api) -> None:
    found = operations(memory_api.get("/v1/openapi.json").json())
    for name in ("GET /v1/projections", "GET /v1/policies", "GET /v1/audit/tree", "GET /v1/control/{name}/events"):
        assert "all-tenants" in found[name]["security"][0]["bearer"], name
    for name in ("GET /v1/runs", "GET /v1/specs", "GET /v1/runs/{run_id}/bundle", "POST /v1/runs/{run_id}/erase"):
        assert "all-tenants" not in found[name]["security"][0]["bearer"], name


HARMLESS = {
    "POST /v1/audit/certificates:verify": "it records nothing",
    "POST /v1/jobs/{job_id}/resume": "a job that goes on is left alone",
    "POST /v1/jobs/{job_id}/stop": "a job that stops is left alone",
    "POST /v1/keys/{key_id}/revoke": "a key that is revoked stays so",
    "POST /v1/plans:evaluate": "it records nothing",
    "POST /v1/policies": "the same policy is the same revision",
    "POST /v1/policies:validate": "it records nothing",
    "POST /v1/projections/{name}/pause": "one that rests goes on resting",
    "POST /v1/projections/{name}/resume": "one that goes on is left alone",
    "POST /v1/projections/{name}/retry": "what is parked no more is left alone",
    "POST /v1/replays/{job_id}/resume": "a job that goes on is left alone",
    "POST /v1/replays/{job_id}/stop": "a job that stops is left alone",
    "POST /v1/runs/{run_id}/query": "it changes nothing of the run",
    "POST /v1/runs/{run_id}/verify": "it records nothing",
    "POST /v1/schedules/{schedule_id}/pause": "one that rests goes on resting",
    "POST /v1/schedules/{schedule_id}/resume": "one that fires is left alone",
    "POST /v1/specs:simulate": "it records nothing",
    "POST /v1/specs:validate": "it records nothing",
    "POST /v1/webhooks/{endpoint_id}/deliveries:replay": "what waits again is dead no more",
    "POST /v1/webhooks/{endpoint_id}/disable": "one that is disabled stays so",
    "POST /v1/webhooks/{endpoint_id}/enable": "one that is enabled stays so",
}
"""What may be sent twice without a key, and why."""


def test_every_post_takes_an_idempotency_key_or_does_no_harm_when_it_is_repeated(memory_api: Api) -> None:
    found = operations(memory_api.get("/v1/openapi.json").json())
    posts = {name: operation for name, operation in found.items() if name.startswith("POST ")}
    keyed = {
        name
        for name, operation in posts.items()
        if any(each["name"] == "Idempotency-Key" for each in operation.get("parameters", []))
    }
    assert posts.keys() - keyed == HARMLESS.keys()
