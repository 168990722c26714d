"""A process that proves chunks of a job: `python -P -m refold.ops.fleet_worker`, started by `refold.ops.fleet_pool`.

It reads lines of JSON on stdin, first its setup, then chunks, and answers each with a line on stdout; it ends when
stdin does, that is, however its parent ends.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any, BinaryIO, NamedTuple

import orjson

from ..compose import BUILD, open_store, tune_process
from ..core.errors import CallError, Problem, RefoldError
from ..core.runtime.registry import SkillRegistry
from ..eventstore.store import Store
from ..projections.golden_keys import GoldenKeys
from ..projections.golden_recorder import GoldenRecorder
from ..replay.fleet import Chunk, ChunkProof, Order, prove_chunk
from ..replay.proving import Prover, Witness
from ..replay.today import code_of, plans_against
from ..replay.witnesses import CheckpointWitness, GoldenWitness
from .cli.reading import read_skills


class Setup(NamedTuple):
    """What a process needs to prove chunks: the database, the modules of skills, the order, and folder and key file of
    the goldens that bear witness, where they are kept."""

    url: str
    modules: Sequence[str]
    order: Mapping[str, Any]
    goldens: Sequence[str] | None = None


def prover_of(store: Store, skills: SkillRegistry, order: Order, goldens: Sequence[str] | None = None) -> Prover:
    """What proves the runs of a job in this process; `goldens` as in `Setup`. Raises CallError, IntegrityError."""
    witnesses: list[Witness] = [CheckpointWitness(store)]
    if goldens is not None:
        folder, key_file = goldens
        witnesses.append(GoldenWitness(store, GoldenRecorder(folder, GoldenKeys.load(Path(key_file)))))
    if order.against is None:
        return Prover(store, skills, order.proofs, witnesses=witnesses)
    plans = plans_against(store, order.query.tenant, order.against)
    return Prover(store, skills, order.proofs, plans=plans, witnesses=witnesses)


class FleetWorker:
    """Proves chunks of one job in this process: with a store, a registry, an event loop and a prover of its own."""

    def __init__(self, setup: Setup):
        """Raises CallError where the code here is another than the order's, StoreError."""
        self._order = Order.of_json(setup.order)
        skills = read_skills(setup.modules)
        code = code_of(skills, BUILD, (self._order.code or {}).get("build"))
        if code != self._order.code:
            reason = "the code where a part of the job is to be proved is another than where the job was started"
            raise CallError(Problem("", reason, "give all of them the same release and the same modules"))
        self._store = open_store(setup.url, migrate=False)
        self._prover = prover_of(self._store, skills, self._order, setup.goldens)
        self._runner = asyncio.Runner()

    def prove(self, chunk: Chunk) -> ChunkProof:
        """Prove a chunk. Raises StoreError."""
        return self._runner.run(prove_chunk(self._store, self._prover, self._order, chunk))


def error_as_json(error: Exception) -> dict[str, Any]:
    """What went wrong, for the process that started this one."""
    known = isinstance(error, RefoldError)
    message = str(error) if known else f"{type(error).__name__}: {error}"
    return {"error": {"code": error.code if known else RefoldError.code, "kind": type(error).__name__, "text": message}}


def main() -> None:
    """Work until stdin ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # What skills print must not stand among the answers.
    requests = os.fdopen(os.dup(0), "rb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    setup = requests.readline()
    tune_process()
    try:
        worker = FleetWorker(Setup(*orjson.loads(setup)))
    except Exception as error:
        _answer(answers, error_as_json(error))
        return
    _serve(worker, requests, answers)


def _serve(worker: FleetWorker, requests: BinaryIO, answers: BinaryIO) -> None:
    inner, outer = os.pipe()

    def hand_on() -> None:
        """In a thread of its own, so that the end of the parent is noticed while a chunk is being proved."""
        for line in requests:
            os.write(outer, line)
        os._exit(1)

    Thread(target=hand_on, daemon=True).start()
    _answer(answers, {"ready": True})
    for line in os.fdopen(inner, "rb"):
        try:
            told = {"chunk": worker.prove(Chunk(*orjson.loads(line))).to_json()}
        except Exception as error:
            told = error_as_json(error)
        _answer(answers, told)


def _answer(answers: BinaryIO, value: dict[str, Any]) -> None:
    with suppress(BrokenPipeError):
        answers.write(orjson.dumps(value) + b"\n")
        answers.flush()


if __name__ == "__main__":
    main()
