"""A policy in a file, looked at again and again: what was changed is in force within a second or two."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from ..documents import parse_document
from ..errors import CallError, InvalidError, Problem
from ..policy.document import Policy

LOOK_SECONDS = 1.0
"""How often the file is looked at, at most."""

MAX_POLICY_BYTES = 1_000_000
"""The largest policy file."""

_log = logging.getLogger(__name__)


class PolicyFile:
    """The policy in a file of JSON or YAML. Fulfils `refold.core.runtime.gate.PolicySource`.

    A file that is gone or wrong later leaves the policy in force as it is; `fault` says what is wrong.
    """

    def __init__(self, path: str | Path):
        """Raises CallError, with the file's name and a pointer to each fault, if there is no good policy now."""
        self._path = Path(path)
        self._seen = self._stamp()
        self._policy = read_policy(self._path)
        self._looked = time.monotonic()
        self.fault: str | None = None

    def current(self) -> Policy:
        """The policy as the file last was when it was good."""
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            self._look()
        return self._policy

    def _look(self) -> None:
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._policy = read_policy(self._path)
            self.fault = None
            _log.info("policy %s is in the file now", self._policy.label)
        except InvalidError as error:
            self.fault = str(error)
            _log.error("policy %s stays in force: %s: %s", self._policy.label, self._path, error)

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns


def read_policy(path: Path) -> Policy:
    """The policy in a file. Raises CallError, with the file's name and a pointer to each fault."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_POLICY_BYTES + 1)
    except OSError as error:
        reason = f"the policy cannot be read: {error.strerror or error}"
        raise CallError(Problem("", f"{path}: {reason}", "give a file that is there")) from None
    try:
        return Policy.parse(parse_document(data, name=path.name, max_bytes=MAX_POLICY_BYTES))
    except InvalidError as error:
        raise CallError([each._replace(reason=f"{path}: {each.reason}") for each in error.problems]) from None
