"""What is wrong with a golden, as far as the golden itself can tell: the first line that cannot be, and why.

Nearly all of a golden follows from the rest of it: a step's seed from the run's, its hash from what it says, the
workflow hash from the step hashes. So damage is found line by line before any key is asked for; the signature finds
what fits together and was yet not written by us.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ..core.canonical import canonical_json, decode
from ..core.errors import NotCanonicalError
from ..core.hashing import sha256_hex, step_hash, workflow_hash
from ..core.paths import is_path, order_of, step_id_of
from ..core.seeds import MAX_SEED, step_seed
from ..core.step_events import StepIndex
from .golden_lines import ENDS, FORMAT, SUCCESS

Lines = list[dict[str, Any]]
"""The lines of a golden, decoded."""


class GoldenFault(Exception):
    """One fault: in which line (from 1; 0 when it is none of one line's), of which kind, and why.

    `kind` is one of: missing, link, unreadable, cut, malformed, order, hash, identity, unsigned, key, signature, log,
    archive.
    """

    def __init__(self, line: int, kind: str, reason: str):
        super().__init__(line, kind, reason)
        self.line = line
        self.kind = kind
        self.reason = reason

    def __str__(self) -> str:
        return f"line {self.line}: {self.kind}: {self.reason}" if self.line else f"{self.kind}: {self.reason}"

    def to_json(self) -> dict[str, Any]:
        """The fault as a JSON object of the same names."""
        return {"line": self.line, "kind": self.kind, "reason": self.reason}


def lines_of(data: bytes) -> Lines:
    """The lines of a golden. Raises GoldenFault for the first one that is no line of canonical JSON."""
    if not data:
        raise GoldenFault(1, "cut", "the file is empty")
    if data.startswith(b"\xef\xbb\xbf"):
        raise GoldenFault(1, "malformed", "it begins with a byte order mark, which we never write")
    pieces = data.split(b"\n")
    rest = pieces.pop()
    found = [_decoded(piece, number) for number, piece in enumerate(pieces, 1)]
    if rest:
        raise GoldenFault(len(pieces) + 1, "cut", "the last line has no end: the file was cut, or something added")
    return found


def check_golden(data: bytes, tenant: str, run_id: str) -> Lines:
    """The lines of the golden of this run. Raises GoldenFault for the first line that cannot be one of it."""
    lines = lines_of(data)
    start = _check_start(lines[0])
    for name, wanted in (("run_id", run_id), ("tenant", tenant)):
        if start[name] != wanted:
            raise GoldenFault(1, "identity", f"{name} is {_shown(start[name])}, this is the file of {_shown(wanted)}")
    hashes: list[tuple[StepIndex, str]] = []
    for number, line in enumerate(lines[1:-1], 2):
        _check_step(number, line, start["seed"], hashes)
    _check_end(len(lines), lines[-1], start, hashes)
    return lines


def _decoded(piece: bytes, number: int) -> dict[str, Any]:
    if piece.endswith(b"\r"):
        raise GoldenFault(number, "malformed", "it ends with CR LF; we end lines with LF alone")
    try:
        value: object = decode(piece)
    except (ValueError, RecursionError, OverflowError) as error:
        raise GoldenFault(number, "malformed", f"it is no JSON: {str(error)[:80]}") from None
    try:
        canonical = canonical_json(value) == piece
    except (NotCanonicalError, RecursionError):
        canonical = False
    if not canonical or not isinstance(value, dict):
        raise GoldenFault(number, "malformed", "it is no object in canonical JSON")
    return cast("dict[str, Any]", value)


_TEXT, _MAYBE, _INT = (str,), (str, type(None)), (int,)

_START: Mapping[str, tuple[type, ...]] = {
    "event": _TEXT,
    "format": _INT,
    "inputs_hash": _MAYBE,
    "replay": (bool,),
    "run_id": _TEXT,
    "seed": _INT,
    "source_hash": _MAYBE,
    "spec_hash": _MAYBE,
    "spec_id": _TEXT,
    "tenant": _TEXT,
}

_STEP: Mapping[str, tuple[type, ...]] = {
    "error_code": _MAYBE,
    "event": _TEXT,
    "index": (int, str),
    "inputs_hash": _MAYBE,
    "output": (),
    "seed": _INT,
    "skill_id": _TEXT,
    "status": _TEXT,
    "step_hash": _TEXT,
    "step_id": _TEXT,
}

_END: Mapping[str, tuple[type, ...]] = {
    "continued_as": _MAYBE,
    "error_code": _MAYBE,
    "event": _TEXT,
    "output": (),
    "output_hash": _MAYBE,
    "status": _TEXT,
    "step_hashes": (list,),
    "workflow_hash": _TEXT,
}


def _check_shape(number: int, line: dict[str, Any], event: str, shape: Mapping[str, tuple[type, ...]]) -> None:
    if line.get("event") != event:
        raise GoldenFault(number, "order", f"here must be {event}, not {_shown(line.get('event'))}")
    if line.keys() != shape.keys():
        odd = min(line.keys() ^ shape.keys())
        raise GoldenFault(number, "malformed", f"the field {_shown(odd)} is {'not ours' if odd in line else 'missing'}")
    for name, kinds in shape.items():
        if kinds and type(line[name]) not in kinds:
            raise GoldenFault(number, "malformed", f"{name} cannot be {_shown(line[name])}")


def _check_start(line: dict[str, Any]) -> dict[str, Any]:
    _check_shape(1, line, "run_start", _START)
    if line["format"] != FORMAT:
        raise GoldenFault(1, "malformed", f"its format is {line['format']}, this program knows {FORMAT}")
    if not 0 <= line["seed"] <= MAX_SEED:
        raise GoldenFault(1, "malformed", "the seed is none")
    if line["spec_hash"] is not None and line["source_hash"] is not None:
        raise GoldenFault(1, "malformed", "a run has a spec or a function, not both")
    return line


def _check_step(number: int, line: dict[str, Any], seed: int, hashes: list[tuple[StepIndex, str]]) -> None:
    _check_shape(number, line, "step", _STEP)
    index: StepIndex = line["index"]
    _check_index(number, line, hashes[-1][0] if hashes else None)
    if line["seed"] != step_seed(seed, index):
        raise GoldenFault(number, "hash", "the step's seed does not follow from the run's")
    status = line["status"]
    # Only a failed step has an error code, only a completed one an output.
    if status not in SUCCESS or (status == "failed") is (line["error_code"] is None):
        raise GoldenFault(number, "malformed", f"status {_shown(status)} with error code {_shown(line['error_code'])}")
    if status != "completed" and line["output"] is not None:
        raise GoldenFault(number, "malformed", f"a {status} step has no output")
    output_hash = sha256_hex(canonical_json(line["output"])) if status == "completed" else None
    hashed = step_hash(
        line["step_id"],
        index,
        line["skill_id"],
        line["seed"],
        line["inputs_hash"],
        SUCCESS[status],
        output_hash,
        line["error_code"],
    )
    if hashed != line["step_hash"]:
        raise GoldenFault(number, "hash", f"what it says has the step hash {hashed}, not {_shown(line['step_hash'])}")
    hashes.append((index, hashed))


def _check_index(number: int, line: dict[str, Any], before: StepIndex | None) -> None:
    index: StepIndex = line["index"]
    if isinstance(index, str):
        if not is_path(index) or line["step_id"] != step_id_of(line["skill_id"], index):
            raise GoldenFault(
                number, "malformed", f"index {_shown(index)} is not the path of {_shown(line['step_id'])}"
            )
        follows = before is None or (isinstance(before, str) and order_of(before) < order_of(index))
    else:
        follows = index >= 0 and (before is None or (isinstance(before, int) and before < index))
    if not follows:
        after = "at the beginning" if before is None else f"after {_shown(before)}"
        raise GoldenFault(number, "order", f"index {_shown(index)} {after}; they must ascend, each once")


def _check_end(number: int, line: dict[str, Any], start: dict[str, Any], hashes: list[tuple[StepIndex, str]]) -> None:
    if number == 1:
        raise GoldenFault(1, "cut", "there is no run_end: the file was cut")
    if line.get("event") == "step":
        raise GoldenFault(number, "cut", "it is a step, and no run_end follows: the file was cut")
    _check_shape(number, line, "run_end", _END)
    if line["status"] not in ENDS or (line["status"] == "completed") is not (line["error_code"] is None):
        said = f"status {_shown(line['status'])} with error code {_shown(line['error_code'])}"
        raise GoldenFault(number, "malformed", said)
    if line["output_hash"] != (None if line["output_hash"] is None else sha256_hex(canonical_json(line["output"]))):
        raise GoldenFault(number, "hash", "the output has another hash than output_hash")
    if line["output_hash"] is None and line["output"] is not None:
        raise GoldenFault(number, "hash", "there is an output, and no output_hash")
    counted = _counted(number, line)
    success = line["status"] == "completed"
    workflow_type = start["spec_id"].partition("#")[0]
    hashed = workflow_hash(start["run_id"], workflow_type, start["seed"], counted, success, line["error_code"])
    if hashed != line["workflow_hash"]:
        reason = f"run, type, seed and step hashes give the workflow hash {hashed}, not {_shown(line['workflow_hash'])}"
        raise GoldenFault(number, "hash", reason)
    _check_counted(counted, hashes)


def _counted(number: int, line: dict[str, Any]) -> list[str | None]:
    counted = cast("list[object]", line["step_hashes"])
    found = [each for each in counted if each is None or isinstance(each, str)]
    if len(found) != len(counted):
        raise GoldenFault(number, "malformed", "step_hashes holds what is no hash")
    return found


def _check_counted(counted: list[str | None], hashes: list[tuple[StepIndex, str]]) -> None:
    """Compare the steps with those that the workflow hash was made of, which fits."""
    places = [at for at, hashed in enumerate(counted) if hashed is not None]
    for number, (index, hashed) in enumerate(hashes):
        place = number if isinstance(index, str) else index
        # A place before this one that no line stands for: a line is missing here.
        if number < len(places) and places[number] < place:
            raise GoldenFault(number + 2, "hash", f"before it, the line of step {places[number]} is missing")
        if place >= len(counted) or counted[place] != hashed:
            raise GoldenFault(number + 2, "hash", f"run_end counts another outcome of step {_shown(index)}, or none")
    if len(places) > len(hashes):
        missing = places[len(hashes)]
        raise GoldenFault(len(hashes) + 2, "hash", f"before it, the line of step {missing} is missing")


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 70 else f"{text[:67]}..."
