"""`refold doctor` asked by tests, and what it says taken apart."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import typer

from refold.ops.cli.main import app

COMMAND = [sys.executable, "-P", "-m", "refold", "doctor", "--json", "--port", "0", "--timeout", "20"]
"""The command as a process. No port is looked at, for other tests have servers, and a busy machine is given time."""

_ELSEWHERE = {
    "export",
    "unset",
    "ulimit",
    "systemctl",
    "timedatectl",
    "psql",
    "createdb",
    "pg_isready",
    "fuser",
    "lsblk",
}
"""What is of the shell, or of packages that a test machine need not have."""


@dataclass(frozen=True)
class Seen:
    """What the doctor said: its exit code, the checks by name, and the last line."""

    code: int
    checks: dict[str, dict[str, Any]]
    summary: dict[str, Any]

    @classmethod
    def of(cls, code: int, out: str) -> Seen:
        """From JSON lines."""
        *checks, summary = [json.loads(line) for line in out.splitlines()]
        return cls(code, {check["name"]: check for check in checks}, summary)

    def named(self, state: str) -> set[str]:
        """The names of the checks in this state."""
        return {name for name, check in self.checks.items() if check["state"] == state}

    def fix(self, name: str) -> str:
        """What the check that has failed says is to be typed; fails if that is no command."""
        check = self.checks[name]
        assert check["state"] == "failed" and check["detail"], check
        assert is_command(check["fix"]), f"{check['fix']!r} is no command"
        return check["fix"]


def asked(*words: str, before: str = "", **environment: str) -> Seen:
    """The doctor in a process of its own, by a shell that does `before` first."""
    command = f"{before}\nexec {shlex.join([*COMMAND, *words])}"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60, env={**os.environ, **environment}
    )
    assert done.stdout, done.stderr
    return Seen.of(done.returncode, done.stdout)


def is_command(text: str) -> bool:
    """Whether each part of a line begins with a program, and what is of Refold is a command with its options."""
    parts: list[list[str]] = [[]]
    for word in shlex.split(text.replace(";", " ; ")):
        if word in ("&&", "|", ";"):
            parts.append([])
        else:
            parts[-1].append(word)
    return all(part and _is_one(part) for part in parts)


def _is_one(words: list[str]) -> bool:
    if words[0] != "refold":
        return words[0] in _ELSEWHERE or shutil.which(words[0]) is not None
    command: Any = typer.main.get_command(app)
    rest = words[1:]
    while hasattr(command, "commands"):
        if not rest or rest[0] not in command.commands:
            return False
        command, rest = command.commands[rest[0]], rest[1:]
    options = {option for each in command.params for option in each.opts}
    return all(word in options for word in rest if word.startswith("-"))
