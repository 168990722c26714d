"""The page, the schema and the command that tell of the catalog."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from refold.core.failure_schema import CATALOG_SCHEMA
from refold.core.failures import FAILURES
from refold.tests.cli.driver import Refold, Write
from refold.tests.support.root_package import ROOT

VALIDATOR = jsonschema.Draft202012Validator(CATALOG_SCHEMA)

OWN = """
from refold import Failure, FailureCatalog, skill

codes = FailureCatalog()
codes.register("SOLD_OUT", "RESOURCE", "None is left.", suggestion="Buy some", documentation="https://example.org/x")

@skill(failures=codes)
def sell() -> None:
    raise Failure("SOLD_OUT", "no lamp is left")
"""


def test_the_page_and_the_schema_are_up_to_date(refold: Refold) -> None:
    for option, name in (("--markdown", "failures.md"), ("--schema", "failures.schema.json")):
        done = refold("explain", option)
        assert done.code == 0 and done.out == (ROOT / "docs" / name).read_text(encoding="utf-8"), "make docs writes it"


def test_the_page_has_a_heading_for_each_code_and_each_code_leads_to_it() -> None:
    page = (ROOT / "docs" / "failures.md").read_text(encoding="utf-8")
    headings = re.findall(r"^### (\w+)$", page, re.M)
    assert sorted(headings) == sorted(FAILURES)
    for code in headings:
        path, _, anchor = FAILURES[code].documentation.partition("#")
        assert (ROOT / path).is_file() and anchor == code.lower()


def test_the_catalog_fits_its_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(CATALOG_SCHEMA)
    VALIDATOR.validate([entry.to_json() for entry in FAILURES.values()])


@pytest.mark.parametrize(
    "change",
    [
        {"code": "lower"},
        {"category": "WRONG"},
        {"recovery": "hope"},
        {"http_status": 200},
        {"suggestion": ""},
        {"retryable": False},
        {"more": 1},
        {"retry": {"max_attempts": 2}},
    ],
)
def test_what_is_no_entry_does_not_fit_the_schema(change: dict[str, Any]) -> None:
    entry = FAILURES["SKILL_ERROR"].to_json()
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate([{**entry, **change}])


def test_a_code_is_explained_in_words_and_as_json(refold: Refold) -> None:
    told = refold("explain", "HTTP_RATE_LIMITED")
    for text in ("429", "RESOURCE, can be tried again", "max_retries: 7", "docs/failures.md#http_rate_limited"):
        assert text in told.out
    assert refold("explain", "RUN_CANCELLED").out.count("max_retries") == 0
    (line,) = refold("explain", "HTTP_RATE_LIMITED", "--json").lines
    assert line == FAILURES["HTTP_RATE_LIMITED"].to_json()
    lines = refold("explain", "--json").lines
    assert [each["code"] for each in lines] == sorted(FAILURES)
    VALIDATOR.validate(lines)
    permissions = refold("explain", "--category", "PERMISSION", "--json").lines
    assert permissions and {each["category"] for each in permissions} == {"PERMISSION"}
    assert all(code in (table := refold("explain").out) for code in FAILURES), table


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["STEP_TIMOUT"], "did you mean STEP_TIMEOUT?"),
        (["step_timeout"], "did you mean STEP_TIMEOUT?"),
        (["%"], "see them all: refold explain"),
        (["--category", "WRONG"], "use one of TRANSIENT"),
        (["STEP_TIMEOUT", "--markdown"], "neither --category nor --markdown"),
    ],
)
def test_what_cannot_be_explained_is_a_wrong_call(refold: Refold, words: list[str], reason: str) -> None:
    done = refold("explain", *words, "--json")
    assert done.code == 2 and reason in done.err and json.loads(done.out)["error"]["code"] == "INPUT_INVALID"


def test_codes_of_a_module_are_explained_too(refold: Refold, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    assert refold("explain", "SOLD_OUT").code == 2
    (line,) = refold("explain", "SOLD_OUT", "--skills", "own.py", "--json").lines
    VALIDATOR.validate([line])
    assert (line["category"], line["documentation"]) == ("RESOURCE", "https://example.org/x")
    page = refold("explain", "--markdown", "--skills", "own.py").out
    assert "## Your own\n\n### SOLD_OUT\n\nNone is left.\n" in page
    described = {each["skill_id"]: each for each in refold("skills", "--skills", "own.py", "--json").lines}
    assert described["sell"]["failures"] == ["SOLD_OUT"] and described["echo"]["failures"] == []


def test_show_says_under_the_error_what_to_do(refold: Refold, write: Write) -> None:
    wrong = {"step_id": "a", "skill_id": "transform", "inputs": {"expression": "[", "data": 1}}
    assert refold("run", write(wrong), "--run-id", "r").code == 1
    shown = refold("show", "r").out
    assert "[TRANSFORM_FAILED]" in shown and FAILURES["TRANSFORM_FAILED"].suggestion in shown
    assert "docs/failures.md#transform_failed" in shown
    inputs = {"path": "../x", "content": ""}
    unreachable = {"step_id": "a", "skill_id": "file_write", "inputs": inputs, "idempotency_key": "k"}
    assert refold("run", write(unreachable), "--run-id", "s").code == 1
    assert "refold fork s --set" in refold("show", "s").out
