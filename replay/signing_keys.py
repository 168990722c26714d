"""Ed25519 keys (RFC 8032) for what has to be proved to outsiders: tree heads, co-signatures, certificates.

A key has a name, since c2sp.org/signed-note identifies keys by name and id. In files it stands in a line of its own
before the PEM block (RFC 7468, 2, lets text stand there). Verifier keys are also read and written as the text
`NAME+ID+BASE64` of signed notes. No private key stands in an error, a log or a repr.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
import stat
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from ..core.errors import CallError, Problem
from ..projections.golden_single_files import sync_folder

AUDIT_KEY = "REFOLD_AUDIT_KEY"
"""The environment variable that names the private key's file."""

LOG, WITNESS = 0x01, 0x04
"""What a key signs, as c2sp.org/signed-note numbers it: notes as they are, or co-signatures with a time."""

_MAX_BYTES = 64 * 1024
_NAME_LINE = re.compile(rb"^Refold-Key-Name: (.+)$", re.MULTILINE)
_MAKE = "make one with: refold audit keygen --name ORIGIN -o key.pem"


@dataclass(frozen=True)
class VerifierKey:
    """A public key: its name and its 32 bytes."""

    name: str
    public: bytes

    @classmethod
    def load(cls, source: str | Path) -> VerifierKey:
        """The key in a file (PEM with its name, or the text of a verifier key), or in `source` itself if that is such
        a text. Raises CallError."""
        text = str(source)
        if _VKEY.fullmatch(text):
            return _of_text(text, text)
        data = _read(Path(source), private=False)
        stripped = data.strip().decode("utf-8", "replace")
        if _VKEY.fullmatch(stripped):
            return _of_text(stripped, f"the file {source}")
        if b"PRIVATE KEY" in data:
            _refuse(f"the file {source} holds a private key", "name the public one, such as key.pub.pem")
        try:
            key = load_pem_public_key(data)
        except Exception:
            _refuse(f"the file {source} holds no public key in PEM, nor a verifier key", _MAKE)
        if not isinstance(key, Ed25519PublicKey):
            _refuse(f"the key in {source} is not of Ed25519", _MAKE)
        return cls(_name_in(data, source), key.public_bytes(Encoding.Raw, PublicFormat.Raw))

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """The verifier key in a text that anybody may have sent: no file is looked at. Raises CallError."""
        if not _VKEY.fullmatch(text):
            _refuse("this is no verifier key", "send the line of a .vkey file: NAME+ID+BASE64")
        return _of_text(text, "this line")

    def key_id(self, kind: int = LOG) -> bytes:
        """The four bytes that tell keys of one name apart: SHA-256 over name, line feed, kind and key, cut."""
        return sha256(self.name.encode() + b"\n" + bytes([kind]) + self.public).digest()[:4]

    def verify(self, data: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's over `data`."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, data)
        except (InvalidSignature, ValueError):
            return False
        return True

    def text(self, kind: int = LOG) -> str:
        """The verifier key as text: `NAME+ID+BASE64`."""
        encoded = base64.b64encode(bytes([kind]) + self.public).decode()
        return f"{self.name}+{self.key_id(kind).hex()}+{encoded}"

    def pem(self) -> bytes:
        """The key as PEM, with its name."""
        key = Ed25519PublicKey.from_public_bytes(self.public)
        return _named(self.name) + key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class SigningKey:
    """A private key with its name."""

    def __init__(self, name: str, private: Ed25519PrivateKey):
        """Raises CallError for a name that cannot be one of a key."""
        self.name = check_key_name(name)
        self._private = private
        self.verifier = VerifierKey(name, private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    @classmethod
    def generate(cls, name: str) -> SigningKey:
        """A new key. Raises CallError for a name that cannot be."""
        return cls(name, Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: str | Path | None = None) -> SigningKey:
        """The key in a file, else in the one that REFOLD_AUDIT_KEY names. Raises CallError, in which nothing of the
        key stands, for a file that cannot be read, that others may read, or that holds something else."""
        path = path or os.environ.get(AUDIT_KEY)
        if not path:
            _refuse("no private key is named", f"name it by --key or {AUDIT_KEY}; {_MAKE}")
        data = _read(Path(path), private=True)
        try:
            key = load_pem_private_key(data, None)
        except TypeError:
            _refuse(f"the key in {path} is encrypted", "give one that is not, and keep others from reading it")
        except Exception:
            _refuse(f"the file {path} holds no private key in PEM", _MAKE)
        if not isinstance(key, Ed25519PrivateKey):
            _refuse(f"the key in {path} is not of Ed25519", _MAKE)
        return cls(_name_in(data, path), key)

    def __repr__(self) -> str:
        return f"SigningKey({self.name!r}, id={self.key_id().hex()})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys are not to be copied anywhere")

    def key_id(self, kind: int = LOG) -> bytes:
        """See `VerifierKey.key_id`."""
        return self.verifier.key_id(kind)

    def sign(self, data: bytes) -> bytes:
        """The signature (64 bytes) over `data`."""
        return self._private.sign(data)

    def verify(self, data: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's over `data`."""
        return self.verifier.verify(data, signature)

    def save(self, path: Path) -> None:
        """Write the private key for its owner's eyes only; never over a file that is there. Raises CallError."""
        block = self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_new(path, _named(self.name) + block, 0o600)


def check_key_name(name: str) -> str:
    """`name` if it can be a key's (c2sp.org/signed-note): not empty, no space, no plus, nothing that controls a
    terminal; at most 200 characters. Else CallError."""
    if not 0 < len(name) <= 200 or "+" in name or not name.isprintable() or any(map(str.isspace, name)):
        _refuse(f"a key cannot be called {ascii(name)[:70]}", "give a name like example.com/log, without spaces and +")
    return name


def write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a file that was not there, whole and durable or not at all. Raises CallError."""
    hidden = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        file = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        try:
            with open(file, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(file)
            os.link(hidden, path)  # unlike a rename, it does not replace what is there
        finally:
            os.unlink(hidden)
        sync_folder(path.parent)
    except FileExistsError:
        _refuse(f"there is a file {path} already", "a key is never written over; choose another name")
    except OSError as error:
        _refuse(f"the file {path} cannot be written: {error.strerror}", "name a file in a folder of yours")


_VKEY = re.compile(r"([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)")


def _of_text(text: str, what: str) -> VerifierKey:
    name, key_id, encoded = text.split("+", 2)
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        decoded = b""
    if len(decoded) != 33 or decoded[0] not in (LOG, WITNESS):
        _refuse(f"the verifier key in {what} is not of Ed25519", _MAKE)
    key = VerifierKey(check_key_name(name), decoded[1:])
    if key.key_id(decoded[0]).hex() != key_id:
        _refuse(f"the id of the verifier key in {what} does not fit the key", "copy it once more")
    return key


def _named(name: str) -> bytes:
    return f"Refold-Key-Name: {name}\n".encode()


def _name_in(data: bytes, source: str | Path) -> str:
    found = _NAME_LINE.search(data)
    if found is None:
        _refuse(f"the key in {source} has no name", "put a line before it: Refold-Key-Name: ORIGIN")
    return check_key_name(found[1].decode("utf-8", "replace").rstrip("\r"))


def _read(path: Path, *, private: bool) -> bytes:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(file, "rb") as stream:
            about = os.fstat(file)
            if not stat.S_ISREG(about.st_mode):
                _refuse(f"the key file {path} is no file", "name a regular file")
            if private and about.st_mode & 0o077:
                mode = stat.S_IMODE(about.st_mode)
                _refuse(f"others may read or write the key file {path} (mode {mode:04o})", f"chmod 600 {path}")
            return stream.read(_MAX_BYTES)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        _refuse(f"the key file {path} cannot be read: {reason}", _MAKE)


def _refuse(reason: str, fix: str) -> NoReturn:
    # What Python was handling may hold a part of a key.
    raise CallError(Problem("", reason, fix)) from None
