"""Where the values of secrets come from: the environment, files, a command."""

from __future__ import annotations

import os
import re
import select
import shlex
import signal
import stat
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, Protocol, cast

from ..documents import parse_json
from ..errors import CallError, DocumentError, Failure, Problem
from ..secret_marks import MAX_CHARACTERS, MIN_CHARACTERS, SECRET_NAME

COMMAND_SECONDS: Final = 10.0
"""How long a command may take to give a secret."""
_FILE_BYTES = 4 * MAX_CHARACTERS
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class SecretSource(Protocol):
    """One place that secrets come from. Calls may block, and come from any thread."""

    def get(self, name: str, tenant: str) -> str | None:
        """The value for a run of `tenant`; None if it is not here. Raises Failure when that cannot be told."""
        ...


class GivenSecrets:
    """Secrets by name, the same for all tenants: for tests and embedded engines."""

    def __init__(self, values: Mapping[str, str]):
        self._values = dict(values)

    def get(self, name: str, tenant: str) -> str | None:
        """See `SecretSource.get`."""
        return self._values.get(name)


class EnvironmentSecrets:
    """Variables of the environment: the prefix, then the name. `{tenant}` in the prefix is the run's tenant."""

    def __init__(self, prefix: str):
        self._prefix = prefix

    def get(self, name: str, tenant: str) -> str | None:
        """See `SecretSource.get`."""
        _, shared, after = self._prefix.partition("{tenant}")
        if shared and ("_" in tenant or not after.startswith("_")):
            raise _refused(name, "in its variable the tenant could not be told from the name")
        return os.environ.get(self._prefix.replace("{tenant}", tenant) + name)


class FileSecrets:
    """A folder with a file for each secret, or one file: a JSON object, or lines KEY=value. `{tenant}` in the path is
    the run's tenant.

    Nobody else may be able to write to what is read; a file that holds several secrets nobody else may read either.
    What orchestrators mount as a folder is readable for all in the container, and is taken so.
    """

    def __init__(self, path: str):
        self._path = path

    def get(self, name: str, tenant: str) -> str | None:
        """See `SecretSource.get`."""
        path = Path(self._path.replace("{tenant}", tenant))
        if path.is_dir():
            text = _text_of(path / name, _WRITABLE_BY_OTHERS, name)
            return None if text is None else text.removesuffix("\n").removesuffix("\r")
        text = _text_of(path, _OPEN_TO_OTHERS, name)
        return None if text is None else _members(text, name).get(name)


class CommandSecrets:
    """A program that is called with the secret's name as its last argument, without a shell, and prints the value.

    Printing nothing means that it does not know the secret. `{tenant}` in its arguments is the run's tenant.
    """

    def __init__(self, words: Sequence[str], seconds: float = COMMAND_SECONDS):
        self._words = tuple(words)
        self._seconds = seconds

    def get(self, name: str, tenant: str) -> str | None:
        """See `SecretSource.get`."""
        words = [self._words[0], *(word.replace("{tenant}", tenant) for word in self._words[1:]), name]
        try:
            # What it says on stderr may hold anything, so nobody gets to see it.
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise _refused(name, f"its command cannot be started ({type(error).__name__})") from None
        until, data = time.monotonic() + self._seconds, None
        with process, cast("IO[bytes]", process.stdout) as output:
            try:
                data = _read(output.fileno(), until)
                if data is not None and len(data) <= _FILE_BYTES:
                    process.wait(max(until - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                data = None
            finally:
                if data is None or process.poll() is None:
                    _kill(process)
        if data is None:
            raise _unavailable(name, f"its command took longer than {self._seconds:g} s")
        if len(data) > _FILE_BYTES:
            raise _refused(name, "its command prints too much")
        if process.returncode != 0:
            raise _unavailable(name, f"its command ended with exit code {process.returncode}")
        text = _decoded(data, name)
        return text.removesuffix("\n").removesuffix("\r") or None


class Vault:
    """The sources in order: the first that knows a secret gives it."""

    def __init__(self, sources: Sequence[SecretSource] = ()):
        self._sources = tuple(sources)

    @classmethod
    def of(cls, secrets: Mapping[str, str] | Vault) -> Vault:
        """A vault as it is, or one of the secrets given. Raises CallError for names that cannot be."""
        if isinstance(secrets, Vault):
            return secrets
        for name in secrets:
            if not SECRET_NAME.fullmatch(name):
                raise CallError(Problem("", f"{ascii(name)[:80]} is no name of a secret", "letters, digits and _"))
        return cls([GivenSecrets(secrets)])

    @classmethod
    def parse(cls, text: str) -> Vault:
        """The vault that `text` describes: `env:PREFIX`, `file:PATH`, `command:PROGRAM ARGUMENTS`, with commas between.

        Raises CallError for anything else.
        """
        return cls([_source(part.strip()) for part in text.split(",") if part.strip()])

    def values(self, names: Sequence[str], tenant: str) -> dict[str, str]:
        """The values of secrets, for a run of `tenant`. Blocks.

        Raises Failure, in which no value stands: SECRET_MISSING, SECRET_REFUSED for what must not be used,
        SECRET_UNAVAILABLE for a source that does not answer.
        """
        return {name: self._value(name, tenant) for name in names}

    def _value(self, name: str, tenant: str) -> str:
        for source in self._sources:
            value = source.get(name, tenant)
            if value is None:
                continue
            if not MIN_CHARACTERS <= len(value) <= MAX_CHARACTERS:
                fault = f"has fewer than {MIN_CHARACTERS} characters" if len(value) < MIN_CHARACTERS else "is too long"
                raise Failure("SECRET_REFUSED", f"the secret {name!r} {fault}", retryable=False)
            return value
        message = f"the secret {name!r} is nowhere to be had here"
        raise Failure("SECRET_MISSING", message, retryable=False)


def _source(text: str) -> SecretSource:
    kind, _, rest = text.partition(":")
    if kind == "env":
        return EnvironmentSecrets(rest)
    if kind == "file" and rest:
        return FileSecrets(rest)
    if kind == "command" and (words := _words(rest)):
        return CommandSecrets(words)
    fix = "write env:PREFIX, file:PATH or command:PROGRAM, with commas between several"
    raise CallError(Problem("", f"{kind[:20]!r} is no source of secrets", fix))


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return []


def _text_of(path: Path, forbidden: int, name: str) -> str | None:
    """What a file holds; None if there is none. Looked at and read through one descriptor, so it is the same file."""
    try:
        # Not blocking, for a pipe that somebody put there.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _refused(name, f"its file cannot be read ({type(error).__name__})") from None
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise _refused(name, "its file is no regular file")
        if about.st_mode & forbidden:
            mode = f"{stat.S_IMODE(about.st_mode):04o}"
            raise _refused(name, f"others may use its file (mode {mode}): chmod 600")
        data = file.read(_FILE_BYTES + 1)
    if len(data) > _FILE_BYTES:
        raise _refused(name, "its file is too long")
    return _decoded(data, name)


def _members(text: str, name: str) -> dict[str, str]:
    """The secrets in a file that holds several."""
    if text.lstrip().startswith("{"):
        try:
            document: Any = parse_json(text)
        except DocumentError:  # its message might show what stands there
            raise _refused(name, "its file is no JSON object") from None
        members = cast("dict[str, Any]", document)
        return {key: value for key, value in members.items() if isinstance(value, str)}
    return {match[1]: match[3] for match in _LINE.finditer(text)}


_LINE = re.compile(r"""^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=(["']?)(.*?)\2\r?$""", re.MULTILINE)


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _refused(name, "its value is no UTF-8") from None


def _read(file: int, until: float) -> bytes | None:
    """What comes until the end, or a little more than may come; None if there is no end in time. A process that the
    command has left behind may hold the pipe open for ever, so its end alone is not waited for."""
    data, ready = bytearray(), select.poll()
    ready.register(file, select.POLLIN)
    while len(data) <= _FILE_BYTES:
        if not ready.poll(max(until - time.monotonic(), 0) * 1000):
            return None
        chunk = os.read(file, _FILE_BYTES)
        if not chunk:
            break
        data += chunk
    return bytes(data)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)


def _refused(name: str, why: str) -> Failure:
    return Failure("SECRET_REFUSED", f"the secret {name!r} cannot be used: {why}", retryable=False)


def _unavailable(name: str, why: str) -> Failure:
    return Failure("SECRET_UNAVAILABLE", f"the secret {name!r} cannot be had: {why}", retryable=True)
