"""Fault injection: each fault is brought about for real; what comes of it must be on record, provable, and intact."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from ..compose import WorkflowEngine, open_store
from ..core.errors import RefoldError
from ..core.failures import FAILURES, Category
from ..core.hashing import sha256_hex
from ..core.ids import run_of
from ..core.skills.files import ROOT_VARIABLE
from ..core.state import fold
from ..eventstore.log import EventLog
from ..eventstore.store import Store
from ..projections.golden_keys import GoldenKeys, new_secret
from ..projections.golden_lines import golden_of
from ..projections.golden_recorder import GoldenRecorder
from ..replay.fault_workload import fault_skills, run_broken
from ..replay.proving import Prover
from .certify_processes import end_child, start_child

_TENANT = "default"


@dataclass(frozen=True)
class Fault:
    """A fault: what it is called, its category, the code that must be told, and how it is brought about."""

    name: str
    category: Category
    code: str
    bring: Callable[[Bench], Awaitable[str | None]]


class Bench:
    """Where faults are brought about: a database, an engine on it, a folder of goldens, files and a web server."""

    def __init__(self, folder: Path, web: str):
        self.folder = folder
        self.web = web
        self.database = folder / "faults.db"
        self.store: Store = open_store(f"sqlite:///{self.database}")
        self.skills = fault_skills()
        self.engine = WorkflowEngine(self.store, self.skills, patience=0.5)
        self.recorder = GoldenRecorder(folder / "goldens", GoldenKeys("k1", {"k1": new_secret()}))
        self.run_id = ""
        self._written: dict[str, str] = {}

    async def run(self, *steps: dict[str, Any], **fields: Any) -> str | None:
        """Run a spec of these steps as the fault's run; the code of what failed: a step, or the run."""
        result = await self.engine.run({"workflow_type": "fault", "steps": list(steps), **fields}, self.run_id)
        failed = [step.error_code for step in result.steps if step.error_code is not None]
        return failed[0] if failed else result.error_code

    async def ended(self) -> tuple[int, list[str]]:
        """Prove the fault's runs and write their goldens; how many runs there are, and what is wrong with them."""
        wrong: list[str] = []
        log = EventLog(self.store, "certify")
        prover = Prover(self.store, self.skills)
        streams = [each for each in self.store.streams(_TENANT) if run_of(each)[1].startswith(self.run_id)]
        for stream in streams:
            run_id = run_of(stream)[1]
            proof = await prover.prove(run_id)
            state = fold(log.events(stream))
            cut = proof.verdict == "not_comparable" and state.status in ("timed_out", "cancelled")
            if proof.verdict != "equal" and not cut:
                wrong.append(f"{run_id} is {proof.verdict}: {[each.to_json() for each in proof.results.values()]}")
            code = state.end and getattr(state.end, "error_code", None)
            if code is not None and code not in FAILURES:
                wrong.append(f"{run_id} has the code {code!r}, which is not in the catalog")
            golden = golden_of(state)
            self.recorder.write([golden])
            self._written[run_id] = sha256_hex(golden.data)
        return len(streams), wrong + self.corrupted()

    def corrupted(self) -> list[str]:
        """What is wrong with the goldens that were written so far."""
        told: list[str] = []
        for run_id, digest in self._written.items():
            verdict = self.recorder.verify_golden(run_id)
            told += [f"the golden of {run_id}: {fault}" for fault in verdict.faults]
            if verdict.ok and sha256_hex(self.recorder.read_golden(run_id).data) != digest:
                told.append(f"the golden of {run_id} is another than was written")
        return told


def _step(skill_id: str, **inputs: Any) -> dict[str, Any]:
    return {"step_id": "faulty", "skill_id": skill_id, "inputs": inputs, "idempotency_key": "once"}


def _of(*steps: dict[str, Any], **fields: Any) -> Callable[[Bench], Awaitable[str | None]]:
    return lambda bench: bench.run(*steps, **fields)


async def _code_of(work: Awaitable[Any]) -> str | None:
    try:
        await work
    except RefoldError as error:
        return error.code
    return None


async def _refused_connection(bench: Bench) -> str | None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return await bench.run(_step("http_call", url=f"http://127.0.0.1:{port}/"))


async def _server_error(bench: Bench) -> str | None:
    return await bench.run(_step("http_call", url=f"{bench.web}/500"))


async def _not_found(bench: Bench) -> str | None:
    return await bench.run(_step("http_call", url=f"{bench.web}/404"))


async def _store_away(bench: Bench) -> str | None:
    """Nobody can write to the database; afterwards the run goes on as if nothing had been."""
    with closing(sqlite3.connect(bench.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        code = await _code_of(bench.run(_step("echo", text="hello")))
        other.execute("ROLLBACK")
    async with WorkflowEngine(bench.store, bench.skills) as again:
        spec: dict[str, Any] = {"workflow_type": "fault", "steps": [_step("echo", text="hello")]}
        result = await again.run(spec, bench.run_id)
    return code if result.success else result.error_code


async def _killed_process(bench: Bench) -> str | None:
    """The process dies in the middle of a step that runs at most once; another goes on with the run."""
    marker = bench.folder / "began"
    words = ("once", str(bench.database), bench.run_id, str(marker))
    child = start_child(words)
    try:
        async with asyncio.timeout(60):
            while not marker.exists():  # noqa: ASYNC110 (a file cannot be awaited)
                await asyncio.sleep(0.02)
    finally:
        end_child(child)
    return await bench.run({"step_id": "faulty", "skill_id": "fault_once", "inputs": {"marker": str(marker)}})


async def _child_fails(bench: Bench) -> str | None:
    inner: dict[str, Any] = {"workflow_type": "inner", "steps": [_step("fault_raises")]}
    return await bench.run(_step("run_workflow", spec=inner))


async def _function_fails(bench: Bench) -> str | None:
    return (await bench.engine.run(run_broken, bench.run_id)).error_code


async def _disk_full(bench: Bench) -> str | None:
    """Files cannot grow while the golden is written; it is then not there, and can be written afterwards."""
    await bench.run(_step("echo", text="x" * 5_000))
    golden = golden_of(fold(EventLog(bench.store, "certify").events(f"{_TENANT}/{bench.run_id}")))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
    try:
        bench.recorder.write([golden])
    except RefoldError as error:
        return error.code
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    return None


async def _file(bench: Bench, root: Path, path: str) -> str | None:
    before = os.environ.get(ROOT_VARIABLE)
    os.environ[ROOT_VARIABLE] = str(root)
    try:
        return await bench.run(_step("file_write", path=path, content="x"))
    finally:
        os.environ.pop(ROOT_VARIABLE) if before is None else os.environ.__setitem__(ROOT_VARIABLE, before)


async def _outside(bench: Bench) -> str | None:
    return await _file(bench, bench.folder, "../outside")


async def _link(bench: Bench) -> str | None:
    (bench.folder / "link").symlink_to("/")
    return await _file(bench, bench.folder, "link/outside")


async def _denied(bench: Bench) -> str | None:
    """Even the superuser may not make a file there."""
    return await _file(bench, Path("/sys"), "denied")


async def _is_a_folder(bench: Bench) -> str | None:
    (bench.folder / "taken").mkdir()
    return await _file(bench, bench.folder, "taken")


async def _unknown_skill(bench: Bench) -> str | None:
    return await _code_of(bench.run(_step("nobody_has_it")))


async def _unknown_reference(bench: Bench) -> str | None:
    return await _code_of(bench.run(_step("echo", text="${nobody.has}")))


_T, _P, _R, _A, _V = Category

FAULTS: tuple[Fault, ...] = (
    Fault("connection refused", _T, "HTTP_UNREACHABLE", _refused_connection),
    Fault("server error", _T, "HTTP_SERVER_ERROR", _server_error),
    Fault("skill hangs", _T, "STEP_TIMEOUT", _of({**_step("fault_hangs"), "timeout_seconds": 0.1})),
    Fault("heart stops", _T, "HEARTBEAT_MISSED", _of(_step("fault_silent"))),
    Fault("skill raises", _T, "SKILL_ERROR", _of(_step("fault_raises"))),
    Fault("store away", _T, "STORE_UNREACHABLE", _store_away),
    Fault("not found", _P, "HTTP_CLIENT_ERROR", _not_found),
    Fault("killed in an at-most-once step", _P, "INTERRUPTED", _killed_process),
    Fault("child fails", _P, "CHILD_FAILED", _child_fails),
    Fault("function raises", _P, "WORKFLOW_ERROR", _function_fails),
    Fault("output too large", _R, "OUTPUT_TOO_LARGE", _of(_step("fault_huge"))),
    Fault("inputs too large", _R, "INPUT_TOO_LARGE", _of(
        {"step_id": "big", "skill_id": "fault_big", "inputs": {}}, _step("echo", one="${big}", two="${big}"))),
    Fault("signal never comes", _R, "SIGNAL_TIMEOUT", _of(_step("wait_signal", name="go", timeout_seconds=0.1))),
    Fault("run takes too long", _R, "RUN_TIMEOUT", _of(_step("sleep", seconds=30), timeout_seconds=0.2)),
    Fault("no file can be written", _R, "FILE_ERROR", _is_a_folder),
    Fault("disk full under goldens", _R, "GOLDEN_STORE", _disk_full),
    Fault("path leads out", _A, "FILE_REFUSED", _outside),
    Fault("link leads out", _A, "FILE_REFUSED", _link),
    Fault("permission denied", _A, "FILE_DENIED", _denied),
    Fault("bad inputs", _V, "SKILL_INPUT_INVALID", _of(_step("fault_typed", number="many"))),
    Fault("output is no JSON", _V, "SKILL_OUTPUT_INVALID", _of(_step("fault_no_json"))),
    Fault("output lacks the field", _V, "REFERENCE_UNRESOLVED", _of(
        {"step_id": "a", "skill_id": "echo", "inputs": {"x": 1}}, _step("echo", text="${a.y}"))),
    Fault("bad expression", _V, "TRANSFORM_FAILED", _of(_step("transform", expression="[", data=1))),
    Fault("unknown skill", _V, "SPEC_INVALID", _unknown_skill),
    Fault("unknown reference", _V, "SPEC_INVALID", _unknown_reference),
)  # fmt: skip
"""All faults, in the order in which they are brought about."""


async def inject_faults(folder: Path, faults: Sequence[Fault] = FAULTS) -> list[dict[str, Any]]:
    """Bring about each of `faults` in turn, and tell what came of each: `wrong` is empty if all is as it must be."""
    told: list[dict[str, Any]] = []
    with statuses_served() as web:
        bench = Bench(folder, web)
        try:
            for number, fault in enumerate(faults, 1):
                bench.run_id = f"fault-{number:02}"
                code = await fault.bring(bench)
                runs, wrong = await bench.ended()
                known = FAILURES.get(code or "")
                if code != fault.code:
                    wrong.append(f"the code is {code}, not {fault.code}")
                elif known is None or known.category != fault.category:
                    wrong.append(f"the catalog says {known and known.category}, not {fault.category}")
                told.append(
                    {"fault": fault.name, "category": str(fault.category), "code": code, "runs": runs, "wrong": wrong}
                )
        finally:
            await bench.engine.close()
            bench.store.close()
    return told


@contextmanager
def statuses_served() -> Generator[str]:
    """A web server that answers with the status in the path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer."""
            self.send_response(int(self.path.strip("/")))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
