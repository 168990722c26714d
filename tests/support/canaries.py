"""Canaries: secrets that must turn up nowhere, skills that leak them in every way they can think of, and a search."""

from __future__ import annotations

import base64
import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from refold import Failure, StepContext, call, secret, skill, workflow

_FORMS = (
    "canary-{:02d}-sparrow",
    'canary {:02d} "quoted" \\ and/so?on=1',
    "canary-{:02d}-mésange-\U0001f426",
    "canary{:02d}+/=\tfinch\nsecond line of {:02d}",
)

CANARIES = {f"CANARY_{n:02d}": _FORMS[n % len(_FORMS)].replace("{:02d}", f"{n:02d}") for n in range(20)}
"""Twenty secrets: plain ones, with what JSON and URLs must escape, beyond ASCII, of several lines."""


def environment(prefix: str = "REFOLD_SECRET_") -> dict[str, str]:
    """The variables that give them."""
    return {prefix + name: value for name, value in CANARIES.items()}


@skill
def leak(value: str, how: str) -> Any:
    """Return a secret, in one of many guises."""
    data = value.encode()
    ways = {
        "plain": lambda: value,
        "text": lambda: f"the token is <{value}>, keep it safe",
        "key": lambda: {value: 1, "deep": [{f"x{value}y": None}]},
        "json": lambda: json.dumps({"authorization": f"Bearer {value}"}),
        "nested_json": lambda: json.dumps({"body": json.dumps({"t": value})}),
        "percent": lambda: "https://example.com/?q=" + quote(value, safe=""),
        "hex": lambda: {"digest": "00" + data.hex() + "ff"},
        "base64": lambda: [base64.b64encode(b"x" * n + data + b"tail").decode() for n in range(4)],
        "urlsafe": lambda: [base64.urlsafe_b64encode(b"user:" * n + data).decode() for n in range(4)],
        "repr": lambda: repr([value]),
        "lines": value.splitlines,
    }
    return ways[how]()


WAYS = ["plain", "text", "key", "json", "nested_json", "percent", "hex", "base64", "urlsafe", "repr", "lines"]
"""What `leak` knows."""


@skill
def raises(value: str) -> None:
    """Raise a secret, with another as its cause."""
    try:
        raise KeyError(value)
    except KeyError as error:
        raise ValueError(f"cannot log in with {value}: {'x' * 1990}{value}") from error


@skill
def refuses(value: str) -> None:
    """Fail with a secret as message."""
    raise Failure("LOGIN_FAILED", f"password {value!r} was refused", retryable=False)


@skill
def logs(value: str) -> str:
    """Log a secret: in a message, as an argument, in a traceback, in a record that cannot be formatted."""
    for log in (logging.getLogger("refold.canaries"), logging.getLogger("somebody.else")):
        log.warning("token %s", value)
        log.error(f"token {value}")
        try:
            raise RuntimeError(value)
        except RuntimeError:
            log.exception("it went wrong")
        log.warning(*("two %s %s", value))
        log.warning("more", extra={"token": value, value: [{"deep": value}]})
    return "logged"


@skill
def traces(value: str) -> str:
    """Tell a secret in traces: as a span's name, attribute, event, exception and status."""
    from opentelemetry import trace

    span = trace.get_current_span()
    span.set_attribute("token", value)
    with suppress(RuntimeError), trace.get_tracer("leaky").start_as_current_span(f"with {value}") as own:
        own.set_attributes({"tokens": ["x", value], f"key {value}": json.dumps([value])})
        own.add_event(f"used {value}", {"token": quote(value, safe="")})
        raise RuntimeError(f"see {value}")
    span.set_status(trace.Status(trace.StatusCode.ERROR, value))
    return "traced"


@skill
async def beats(value: str, ctx: StepContext) -> str:
    """Tell a secret by a heartbeat, then wait until that was recorded."""
    import asyncio

    ctx.heartbeat({"using": value, value: [value]})
    await asyncio.sleep(1.5)
    return "beaten"


@skill
def misfit(value: int) -> int:
    """Takes a number, and is given none."""
    return value


LEAKY = [leak, raises, refuses, logs, traces, beats, misfit]
"""All of them."""


@workflow
async def leaking() -> list[Any]:
    """Leak the second half of the canaries from a function."""
    names = list(CANARIES)[10:]
    found: list[Any] = []
    for place, way in enumerate(WAYS):
        found.append(await leak(secret(names[place % 10]), way))
    for place, each in enumerate(["logs", "beats", "traces"]):
        found.append(await call(each, value="see " + secret(names[place]) + "!"))
    for place, each in enumerate(["raises", "refuses", "misfit"]):
        try:
            await call(each, value=secret(names[place + 5]))
        except Failure as error:
            found.append(str(error))
    return found


def leaking_spec() -> dict[str, Any]:
    """A spec that leaks the first half."""
    names = list(CANARIES)[:10]
    steps: list[dict[str, Any]] = [
        {"step_id": way, "skill_id": "leak", "inputs": {"value": f"${{secrets.{names[n % 10]}}}", "how": way}}
        for n, way in enumerate(WAYS)
    ]
    steps += [
        {
            "step_id": name,
            "skill_id": name,
            "inputs": {"value": f"see ${{secrets.{names[n]}}}!"},
            "on_error": "continue",
        }
        for n, name in enumerate(("raises", "refuses", "logs", "beats", "misfit", "traces"))
    ]
    steps.append({"step_id": "all", "skill_id": "echo", "inputs": {way: f"${{{way}}}" for way in WAYS}})
    return {"workflow_type": "leaking-spec", "steps": steps}


def found_in(data: bytes) -> list[str]:
    """The names of the canaries that stand in `data`, plain or in a guise that anybody could undo."""
    return [name for name, value in CANARIES.items() if any(form in data for form in _shapes(value))]


def _shapes(value: str) -> list[bytes]:
    """Written here once more, without asking the product how it does that."""
    data = value.encode()
    texts = [value, json.dumps(value)[1:-1], quote(value, safe=""), data.hex(), value.splitlines()[0]]
    shapes = [text.encode() for text in texts]
    shapes.append(json.dumps(value, ensure_ascii=False)[1:-1].encode())
    for pad in range(3):
        # What stands a group of four away from either end does not depend on what surrounds it.
        shapes.append(base64.b64encode(b"\0" * pad + data)[4:-4])
        shapes.append(base64.urlsafe_b64encode(b"\0" * pad + data)[4:-4])
    return shapes


def files_with_canaries(*places: Path) -> dict[str, list[str]]:
    """The files below `places` in which canaries stand."""
    files = [file for place in places for file in (place.rglob("*") if place.is_dir() else [place])]
    found = {str(file): found_in(file.read_bytes()) for file in files if file.is_file()}
    return {name: names for name, names in found.items() if names}
