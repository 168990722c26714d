"""How long the sandbox takes for a million characters, and the table of it in docs/sandbox.md.

`python -m refold.tests.support.sandbox_speed` measures and writes the table. Nothing asserts times: machines differ.
"""

from __future__ import annotations

import base64
import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from refold import PlannerSandbox
from refold.tests.support.root_package import ROOT

SIZE: Final = 1_000_000
"""Characters in each plan."""
_DOCUMENT = ROOT / "docs" / "sandbox.md"
_MARKS = ("<!-- speed -->\n", "<!-- /speed -->\n")


def repeated(unit: str, size: int = SIZE) -> str:
    """`unit` again and again, up to `size` characters."""
    return (unit * (size // len(unit) + 1))[:size]


def _encoded(times: int) -> str:
    text = repeated("; cat /etc/passwd ", int(SIZE * 0.75**times))
    for _ in range(times):
        text = base64.b64encode(text.encode()).decode()
    return text


def _nested() -> Any:
    value: Any = "x"
    for _ in range(100_000):
        value = [value]
    return value


def _prose() -> str:
    words = (
        "the of and to in is that for it was on are as with his they at be this from have or by one had not but what"
    )
    more = "invoice customer's quarterly (see below). --"
    return repeated(" ".join(random.Random(7).choices(f"{words} {more}".split(), k=SIZE // 4)))


def _source() -> str:
    return repeated(
        "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "core" / "runtime").rglob("*.py")))
    )


def _shown(unit: str) -> str:
    return unit.encode("ascii", "backslashreplace").decode().replace("|", "\\|").replace("`", "(backtick)")


_ROW = "INSERT INTO `users` (`id`, `name`) VALUES (17, 'O''Brien'), (18, 'Ann -- B');\n"
_UNITS = (
    "; ", "%25", "%2e%2e%2f", "a%2e", "&#46;", "\\u002e", "QUFBQUFBQUFBQUFBQUFB ", "'", "../", "{{", "' OR ", "or a=b ",
    "${", "\\", "a\u200b", "\u0430\u0435\u043e ", "\uff0e\uff0e\uff0f", " ", "`", "; cat = ", "| id ", "/**/",
    "union select ", "ignore all ", "i n ", "a+", "<span ", "curl ",
)  # fmt: skip
PLANS: Final[dict[str, Callable[[], Any]]] = {
    "prose": _prose,
    "source code": _source,
    "a dump of SQL": lambda: repeated(_ROW),
    "a log": lambda: repeated("2026-01-01 12:00:00 INFO api: GET /v1/runs/17 200 in 3 ms | user=ann; ip=10.0.0.1\n"),
    "URLs": lambda: repeated("https://www.example.com/a?id=38&sort=asc&page=60%20x#top\n"),
    "JSON in a string": lambda: repeated(json.dumps({"a": [1, 2, {"b": "\u00e9", "d": None}], "$ref": "#/x"})),
    "one word": lambda: repeated("a"),
    "`%252525...`": lambda: "%" + repeated("25"),
    "base64": lambda: _encoded(1),
    "base64, four times": lambda: _encoded(4),
    "100,000 strings": lambda: [f"item {number}; x" for number in range(100_000)],
    "100,000 levels": _nested,
    **{f"`{_shown(unit)}` again and again": lambda unit=unit: repeated(unit) for unit in _UNITS},
}
"""What is measured, by the names in the table."""


def plan(value: Any) -> dict[str, Any]:
    """A plan of one step whose only input is `value`."""
    step = {"step_id": "a", "skill_id": "echo", "inputs": {"value": value}}
    return {"workflow_type": "test", "steps": [step]}


def _milliseconds(value: Any) -> tuple[float, str]:
    sandbox, made = PlannerSandbox(), plan(value)
    best, found = 9e9, ""
    for _ in range(5):
        begin = time.process_time()
        report = sandbox.validate(made)
        best = min(best, time.process_time() - begin)
        found = ", ".join(sorted({each.rule for each in report.violations})[:3])
    return best * 1000, found


def main() -> None:
    """Measure, and put the table into the document."""
    lines = ["| a million characters of | ms | violations, the first three |", "| --- | --- | --- |"]
    for name, value in PLANS.items():
        taken, found = _milliseconds(value())
        lines.append(f"| {name} | {taken:.0f} | {found} |")
        sys.stdout.write(lines[-1] + "\n")
    text = _DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(_MARKS[0])
    after = rest.partition(_MARKS[1])[2]
    _DOCUMENT.write_text(before + _MARKS[0] + "\n".join(lines) + "\n" + _MARKS[1] + after, encoding="utf-8")


if __name__ == "__main__":
    main()
