"""What the tests of the command line share: a workflow, some skills, and processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SKILLS = '''
import os, time
from refold import skill

@skill
def gate(folder: str) -> dict:
    """Say that it runs, and wait until somebody opens the gate."""
    open(f"{folder}/waiting", "w").close()
    while not os.path.exists(f"{folder}/open"):
        time.sleep(0.01)
    return {"passed": True}

@skill(deterministic=True)
def drifting() -> dict:
    """Deterministic, it says."""
    return {"value": os.environ.get("DRIFT", "0")}

@skill
def noisy() -> dict:
    """Writes to stdout, which is not its own."""
    print("noise")
    return {}
'''
"""A module of skills, `mine.py` in the current folder."""

HELLO = {
    "workflow_type": "hello",
    "inputs": {"name": "Ada"},
    "steps": [
        {"step_id": "greet", "skill_id": "echo", "inputs": {"text": "Hello ${inputs.name}"}},
        {"step_id": "digest", "skill_id": "hash", "inputs": {"text": "${greet.text}"}},
        {"step_id": "dice", "skill_id": "random", "depends_on": ["digest"]},
    ],
}
"""A spec that always completes."""

COMMAND = [sys.executable, "-P", "-m", "refold"]
"""The command line, as a process."""


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code and both outputs."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """stdout as JSON lines; fails if one is none."""
        return [json.loads(line) for line in self.out.splitlines()]


Refold = Callable[..., Done]
"""Runs the command line with the given words."""

Write = Callable[..., str]
"""Writes a spec of the given steps to a file and returns the file's name."""

# Whoever runs the tests in the background has made them ignore Ctrl-C, and so their children.
_WITH_CTRL_C = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from refold.ops.cli import main
main()
"""


def start(*words: str, **options: Any) -> subprocess.Popen[str]:
    """The command line as a process of its own, in the current folder, with its outputs piped."""
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _WITH_CTRL_C, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
