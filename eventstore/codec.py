"""Events to stored bytes and back.

The stored state of an event is canonical JSON (RFC 8785) of an envelope that a person can read:

    {"at": µs, "build": label, "data": {fields}, "nonce": writer-counter, "prev": chain hash or null, "v": version}

User data up to 64 KiB stands in `data`; larger data stands in a content-addressed row, and `data` holds its hash under
the field's name with `_ref` appended.

Of sensitive data the field holds the placeholder, and one more, with `_sealed` appended to its name, what a cipher
reads: `{"data": BASE64, "names": [member, …] or null, "nonce": BASE64}`, without `data` if its key was destroyed
before. It is a content-addressed row, with `_sealed_ref`, where it is large.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields
from itertools import product
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple, Protocol, cast, get_args, get_type_hints

import orjson

from ..core.canonical import Hidden, Payload, Placeholder, canonical_json
from ..core.canonical import decode as decode_json
from ..core.errors import DataKeyError, IntegrityError, NotCanonicalError, Problem
from ..core.events import EVENTS, Cut, Event, Fork, RunStarted
from ..core.hashing import sha256_hex
from ..core.ports import Record
from ..core.upcast import upcast

INLINE_BYTES = 64 * 1024
"""Payloads larger than this are stored once, by their hash, beside the events."""


class Cipher(Protocol):
    """Encrypts and decrypts sensitive data of runs, each with its own key."""

    def encrypt(self, place: str, stream: str, plain: bytes, parent: str | None) -> dict[str, Any] | None:
        """`plain` as JSON, for `place` alone; None if the run's key was destroyed. Raises DataKeyError.

        `parent` is the run that this one descends from, for its first event.
        """
        ...

    def decrypt(self, place: str, stream: str, sealed: dict[str, Any]) -> bytes | None:
        """What was encrypted; None where the key is not to be had."""
        ...


class _Shape(NamedTuple):
    """What the codec knows of an event class: its stored fields and which of them need a hand.

    `names` are "at" and the fields, `values` gives what is in them. `newest` are fields without which an event is
    written in an earlier version, for programs that know no later one. `signatures` holds every sequence of types that
    the fields may have, for Python itself checks none of them.
    """

    cls: Callable[..., Event]
    version: int
    fields: tuple[str, ...]
    names: tuple[str, ...]
    values: Callable[[Event], tuple[Any, ...]]
    payloads: tuple[str, ...]
    optional: frozenset[str]
    floats: tuple[str, ...]
    parts: tuple[tuple[str, type[Any]], ...]
    newest: tuple[tuple[str, int], ...]
    signatures: frozenset[tuple[type, ...]]


_NEWEST = {"run.started": (("trace", 5),)}
"""By topic: a field that is left out while it is None, and the version that such an event then has."""


def _shape(cls: type[Event]) -> _Shape:
    hints = get_type_hints(cls)
    names = tuple(field.name for field in fields(cls) if field.name != "at")

    def of(kind: type) -> tuple[str, ...]:
        return tuple(name for name in names if kind in (hints[name], *get_args(hints[name])))

    signatures = frozenset(product(*(_types(hints[name]) for name in names)))
    optional = frozenset(name for name in names if type(None) in get_args(hints[name]))
    return _Shape(
        cls,
        cls.schema,
        names,
        ("at", *sorted(names)),  # The order of canonical JSON, so that nothing has to be sorted.
        attrgetter("at", *sorted(names)),
        of(Payload),
        optional,
        of(float),
        tuple((name, part) for part in (Cut, Fork) for name in of(part)),
        _NEWEST.get(cls.topic, ()),
        signatures,
    )


def _types(hint: Any) -> tuple[type, ...]:
    kinds: tuple[type, ...] = get_args(hint) or (hint,)
    # RFC 8785 writes 1.0 as 1, which comes back as an int.
    return (*kinds, int) if float in kinds else kinds


_SHAPES = {topic: _shape(cls) for topic, cls in EVENTS.items()}


def encode(
    event: Event,
    prev: str | None,
    nonce: str,
    build: str,
    large: dict[str, bytes],
    place: tuple[str, int] = ("", 0),
    cipher: Cipher | None = None,
) -> bytes:
    """The stored state of `event`; payloads too large to stand in it are added to `large` by their hash. `place` is its
    stream and number.

    Raises NotCanonicalError for text that UTF-8 cannot express, DataKeyError for sensitive data without a key.
    """
    shape = _SHAPES[event.topic]
    data: dict[str, Any] = dict(zip(shape.names, shape.values(event), strict=True))
    at = data.pop("at")
    in_order = not shape.parts
    for name in shape.payloads:
        payload: Payload | None = data[name]
        if payload is None:
            continue
        if payload.hidden is not None:
            _seal(event, name, payload.hidden, place, cipher, data, large)
            in_order = False
        if len(payload.data) <= INLINE_BYTES:
            data[name] = orjson.Fragment(payload.data)
        else:
            del data[name]
            in_order = False
            data[f"{name}_ref"] = payload.sha256
            large[payload.sha256] = payload.data
    for name in shape.floats:
        if type(data[name]) is float:
            data[name] = orjson.Fragment(canonical_json(data[name]))
    for name, _ in shape.parts:
        data[name] = None if data[name] is None else asdict(data[name])
    version = shape.version
    for name, without in shape.newest:
        if data[name] is None:
            del data[name]
            version = without
    envelope = {"at": at, "build": build, "data": data, "nonce": nonce, "prev": prev, "v": version}
    try:
        # With payloads and floats already canonical, nothing is left on which orjson and RFC 8785 differ.
        return orjson.dumps(envelope, option=0 if in_order else orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        raise NotCanonicalError(Problem("", f"{event.topic} cannot be stored: {error}")) from None


def _seal(
    event: Event,
    name: str,
    hidden: Hidden,
    place: tuple[str, int],
    cipher: Cipher | None,
    data: dict[str, Any],
    large: dict[str, bytes],
) -> None:
    """Put what a sensitive field hides into `data`, encrypted."""
    sealed: dict[str, Any] = {"names": None if hidden.names is None else list(hidden.names)}
    if hidden.plain is not None:
        if cipher is None:
            raise DataKeyError("there is sensitive data, and nothing to encrypt it with")
        stream, _ = place
        found = cipher.encrypt(_where(place, event.topic, name), stream, hidden.plain, _parent(event, stream))
        sealed.update(found or {})
    written = canonical_json(sealed)
    if len(written) <= INLINE_BYTES:
        data[name + _SEALED] = sealed
    else:
        digest = sha256_hex(written)
        data[f"{name}{_SEALED}_ref"] = digest
        large[digest] = written


_SEALED = "_sealed"


def _where(place: tuple[str, int], topic: str, name: str) -> str:
    """What keeps a ciphertext from being moved elsewhere: it can be read in its own place alone."""
    return f"{place[0]}\0{place[1]}\0{topic}\0{name}"


def _parent(event: Event, stream: str) -> str | None:
    if not isinstance(event, RunStarted):
        return None
    above = event.forked.run_id if event.forked is not None else event.continues or event.parent
    return None if above is None else f"{stream.partition('/')[0]}/{above}"


def _unsealed(
    record: Record, data: dict[str, Any], large: Mapping[str, bytes], cipher: Cipher | None
) -> dict[str, Hidden]:
    """What the sensitive fields hide, by name; taken out of `data`."""
    found: dict[str, Hidden] = {}
    for key in [key for key in data if key.endswith((_SEALED, f"{_SEALED}_ref"))]:
        name, _, by_hash = key.rpartition(_SEALED)
        sealed: Any = decode_json(_looked_up(data.pop(key), large).data) if by_hash else data.pop(key)
        names = sealed["names"]
        plain = None
        if cipher is not None and "data" in sealed:
            plain = cipher.decrypt(_where((record.stream, record.version), record.topic, name), record.stream, sealed)
        found[name] = Hidden(plain, None if names is None else tuple(names))
    return found


def _marked(shown: Any, hidden: Hidden) -> Payload:
    """The sensitive payload that shows this placeholder, or an object with placeholders in it."""
    if hidden.names is None:
        shown = Placeholder(shown)
    else:
        shown = {name: Placeholder(value) if name in hidden.names else value for name, value in shown.items()}
    payload = Payload.decoded(shown)
    payload.hidden = hidden
    return payload


class Envelope(NamedTuple):
    """A stored state, opened but not yet made an event."""

    at: int
    build: str
    data: dict[str, Any]
    nonce: str
    prev: str | None
    v: int


def open_envelope(record: Record) -> Envelope:
    """The envelope of `record`. Raises IntegrityError when its bytes are no envelope."""
    try:
        # The time alone has 16 digits; slow to tell from a float, so it is not asked.
        opened = decode_json(record.state, exact=1)
        if opened["at"] < _SIXTEEN_DIGITS:
            opened = decode_json(record.state)
        envelope = Envelope(*_PARTS(opened))
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise IntegrityError(f"event {record.version} of {record.stream} holds no readable state: {error}") from None
    if len(opened) != len(envelope) or tuple(map(type, envelope)) not in _ENVELOPES:
        raise IntegrityError(f"event {record.version} of {record.stream} has a malformed envelope")
    return envelope


_PARTS = cast("Callable[[Any], tuple[Any, ...]]", itemgetter(*Envelope._fields))
_SIXTEEN_DIGITS = 10**15

_ENVELOPES = {(int, str, dict, str, prev, int) for prev in (str, type(None))}


def open_all(records: Iterable[Record]) -> list[Envelope | IntegrityError]:
    """The envelope of each record, or what keeps it from being opened."""
    opened: list[Envelope | IntegrityError] = []
    for record in records:
        try:
            opened.append(open_envelope(record))
        except IntegrityError as error:
            opened.append(error)
    return opened


def points_away(record: Record) -> bool:
    """Whether `record` may point to a content-addressed row; where this is False it does not."""
    return b'_ref":"' in record.state


def references(records: Iterable[Record]) -> set[str]:
    """The hashes of the content-addressed rows that `records` point to."""
    found: set[str] = set()
    for record in records:
        if points_away(record):
            data = open_envelope(record).data
            found.update(value for name, value in data.items() if name.endswith("_ref") and type(value) is str)
    return found


def decode(
    record: Record, large: Mapping[str, bytes], envelope: Envelope | None = None, cipher: Cipher | None = None
) -> Event:
    """The event in `record`, brought to today's shape; `large` holds the content-addressed rows it points to.

    Without `cipher`, what is sensitive cannot be read.

    Raises IntegrityError for an unknown topic, a version from the future, a missing or altered row, or fields that do
    not fit.
    """
    shape = _SHAPES.get(record.topic)
    if shape is None:
        raise IntegrityError(f"event {record.version} of {record.stream} has the unknown topic {record.topic!r}")
    envelope = envelope or open_envelope(record)
    data = envelope.data
    if envelope.v != shape.version:
        data = upcast(record.topic, envelope.v, data, shape.version)
    try:
        hidden = _unsealed(record, data, large, cipher) if len(data) > len(shape.fields) else _NOTHING
        for name in shape.payloads:
            if name in hidden:
                data[name] = _marked(data[name], hidden[name])
            elif name in data:
                if data[name] is not None or name not in shape.optional:
                    data[name] = Payload.decoded(data[name])
            else:
                data[name] = _looked_up(data.pop(f"{name}_ref"), large)
        for name, part in shape.parts:
            if data[name] is not None or name not in shape.optional:
                data[name] = _part(part, data[name])
        values = [data[name] for name in shape.fields]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unfit(record, f"{type(error).__name__} {error}") from None
    if len(data) != len(values) or tuple(map(type, values)) not in shape.signatures:
        raise _unfit(record, ", ".join(f"{name}: {type(value).__name__}" for name, value in data.items()))
    return shape.cls(envelope.at, *values)


_NOTHING: dict[str, Hidden] = {}


def sealed_fields(record: Record) -> list[str]:
    """The fields of `record` that hold sensitive data."""
    if _SEALED.encode() not in record.state:
        return []
    data = open_envelope(record).data
    return sorted({key.rpartition(_SEALED)[0] for key in data if key.endswith((_SEALED, f"{_SEALED}_ref"))})


def _unfit(record: Record, why: str) -> IntegrityError:
    return IntegrityError(
        f"event {record.version} of {record.stream} ({record.topic}) has fields that do not fit: {why}"
    )


def _looked_up(digest: str, large: Mapping[str, bytes]) -> Payload:
    data = large[digest]
    if sha256_hex(data) != digest:
        raise KeyError(f"the payload {digest} was altered")
    return Payload.from_canonical(data)


def _part(cls: type[Any], data: dict[str, Any]) -> Any:
    """The value of a class of ours that an event holds. Raises TypeError for what is none."""
    part = cls(**data)
    for field in fields(part):
        # All are of one plain type, and annotations are texts here.
        if type(data[field.name]).__name__ != field.type:
            raise TypeError(f"{cls.__name__} with the {field.name} {data[field.name]!r}")
    return part
