"""Lines of the log: for programs and for people, with what was worked on, without secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from refold.core.errors import CallError
from refold.core.labels import tenant_label
from refold.core.runtime.masked_logs import keep_out_of_logs
from refold.core.runtime.tracing import Work, at_work
from refold.ops.cli.faults import Hidden
from refold.ops.cli.logs import formatter, log_to_stderr
from refold.tests.support.canaries import CANARIES, found_in
from refold.tests.support.canaries import logs as leaky

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(params=["json", "text"])
def lines(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What all loggers say, in one of both forms."""
    told = io.StringIO()
    handler = logging.StreamHandler(told)
    handler.setFormatter(formatter(Hidden([]), as_json=request.param == "json"))
    logging.getLogger().addHandler(handler)
    yield told
    logging.getLogger().removeHandler(handler)


def test_a_line_says_when_who_and_about_which_step(lines: io.StringIO) -> None:
    with at_work(Work("acme/r", "a", 2, TRACE)):
        logging.getLogger("mine").warning("done with %s", "it", extra={"items": 3, "run_id": "another"})
    line = lines.getvalue()
    if not line.startswith("{"):
        assert "WARNING mine done with it items=3 run_id=r tenant=" in line and "another" not in line
        return
    told: dict[str, Any] = json.loads(line)
    assert told.pop("time").endswith("Z")
    assert told == {
        "level": "warning",
        "logger": "mine",
        "message": "done with it",
        "items": 3,
        "run_id": "r",
        "tenant": tenant_label("acme"),
        "step_id": "a",
        "attempt": 2,
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "span_id": "00f067aa0ba902b7",
    }


@pytest.mark.parametrize("name", sorted(CANARIES)[:4])
def test_no_canary_is_in_a_line_nor_in_what_was_given_besides(lines: io.StringIO, name: str) -> None:
    keep_out_of_logs(CANARIES)
    leaky.function(value=CANARIES[name])
    told = lines.getvalue()
    assert found_in(told.encode()) == []
    assert told.count("[secret") >= 10 and "deep" in told


def test_what_a_terminal_would_obey_is_written_out(lines: io.StringIO) -> None:
    logging.getLogger("mine").warning("a\x1b[31mb\x7f\x9b\u202e\nc", extra={"k\x9b": "\x1b]0;x\x07"})
    (line,) = lines.getvalue().splitlines()
    assert line.isprintable()


def test_an_unknown_form_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFOLD_LOG", "xml")
    with pytest.raises(CallError, match="REFOLD_LOG"):
        log_to_stderr(Hidden([]))
