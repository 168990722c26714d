"""The faults of a soak: how each begins, how it is cured, and which alert must tell of it meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from .journal import Fault
from .places import command

if TYPE_CHECKING:
    from .soak_site import Site

_UNREACHABLE = 5
"""The exit code that says that the store is away."""

Doing = AsyncGenerator[None, None]
"""A fault as a generator: it begins, yields for as long as it lasts, and is cured."""


@dataclass(frozen=True)
class Kind:
    """A kind of fault. `takes` names what it is done to: no two at a time to the same. `alert` is whatever must fire
    while it lasts, and `seconds` how long it lasts where there is none to wait for. `early`: only in the first half, so
    that somebody lives through the second. `spares`: to these nothing is done meanwhile."""

    name: str
    do: Callable[[Site, Fault, Random], Doing]
    takes: tuple[str, ...]
    seconds: float
    alert: str | None = None
    early: bool = False
    needs: str = ""
    spares: tuple[str, ...] = ()


async def _killed(site: Site, fault: Fault, random: Random) -> Doing:
    place = site.place(fault.target)
    place.kill()
    yield
    place.start()


async def _stopped(site: Site, fault: Fault, random: Random) -> Doing:
    place = site.place(fault.target)
    place.send(signal.SIGSTOP)
    yield
    place.send(signal.SIGCONT)


async def _restarted(site: Site, fault: Fault, random: Random) -> Doing:
    await asyncio.to_thread(site.server.stop)
    yield
    await asyncio.to_thread(site.server.start)


async def _crashed(site: Site, fault: Fault, random: Random) -> Doing:
    await asyncio.to_thread(site.server.kill)
    yield
    await asyncio.to_thread(site.server.start)


async def _cut(site: Site, fault: Fault, random: Random) -> Doing:
    site.proxy.cut()
    yield
    site.proxy.mend()


async def _stalled(site: Site, fault: Fault, random: Random) -> Doing:
    site.proxy.stall()
    yield
    site.proxy.mend()


async def _halved(site: Site, fault: Fault, random: Random) -> Doing:
    lost = site.proxy.halve()
    fault.notes.append(f"{len(lost)} connections")
    yield
    site.proxy.reset(lost)


async def _goldens_full(site: Site, fault: Fault, random: Random) -> Doing:
    await asyncio.to_thread(site.goldens.fill)
    yield
    site.goldens.empty()


async def _store_full(site: Site, fault: Fault, random: Random) -> Doing:
    await asyncio.to_thread(site.tables.fill)
    yield
    site.tables.empty()


async def _jumped(site: Site, fault: Fault, random: Random) -> Doing:
    seconds = random.choice([-120, -60, 60, 120])
    fault.notes.append(f"{seconds:+d} s")
    site.shift_clock(seconds)
    yield
    site.shift_clock(0)


async def _corrupted(site: Site, fault: Fault, random: Random) -> Doing:
    while (run_id := await asyncio.to_thread(_flip, site.goldens.folder, random)) is None:
        await asyncio.to_thread(time.sleep, 1)  # the first one will be written
    fault.notes.append(run_id)
    told = await _command(site, "golden", "verify", run_id)
    if told[0] != 4:
        site.find(f"fault {fault.number}: golden verify {run_id} ended with {told[0]}, not 4: {told[1]}")
    yield
    for words in (["golden", "write", run_id], ["golden", "verify", run_id]):
        code, said = await _command(site, *words)
        if code:
            site.find(f"fault {fault.number}: {' '.join(words)} ended with {code}: {said}")


def _flip(folder: Path, random: Random) -> str | None:
    """Flip a bit of a golden that was written completely; the id of its run."""
    there = sorted(path for path in folder.rglob("*.steps.jsonl") if path.with_name(f"{path.name}.sig").exists())
    if not there:
        return None
    path = random.choice(there)
    data = bytearray(path.read_bytes())
    run_id: str = json.loads(data.splitlines()[0])["run_id"]
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(descriptor, data, 0)
    finally:
        os.close(descriptor)
    return run_id


async def _command(site: Site, *words: str) -> tuple[int, str]:
    """What an operator would type, directly on the database; again for a while if that is away just then."""
    give_up = asyncio.get_running_loop().time() + 60
    while True:
        done = await asyncio.to_thread(
            subprocess.run, command(*words), capture_output=True, text=True, env={**os.environ, **site.direct}
        )
        if done.returncode != _UNREACHABLE or asyncio.get_running_loop().time() > give_up:
            return done.returncode, (done.stdout + done.stderr)[-500:]
        await asyncio.sleep(2)


WORKERS = ("worker-2", "worker-3")

KINDS: tuple[Kind, ...] = (
    Kind("kill a worker", _killed, WORKERS, 0.5),
    Kind("lose a worker", _killed, WORKERS, 14, "WorkerDown"),
    Kind("stop a worker", _stopped, ("worker-1", "worker-2"), 40, "WorkerDown"),
    Kind("kill the projector", _killed, ("projector",), 0.5, early=True),
    Kind("lose the projector", _killed, ("projector",), 15, "ProjectionStalled", early=True),
    Kind("kill the server", _killed, ("server",), 1.0, early=True),
    Kind("restart the database", _restarted, ("database",), 2.0),
    Kind("crash the database", _crashed, ("database",), 2.0),
    Kind("lose the database", _crashed, ("database",), 15, "StoreUnreachable"),
    Kind("cut connections", _cut, ("database",), 3.0),
    Kind("stall connections", _stalled, ("database",), 25, "StoreUnreachable"),
    Kind("half-open connections", _halved, ("database",), 30),
    Kind("fill the disk of goldens", _goldens_full, ("goldens",), 10, "DiskFull", needs="disk"),
    Kind("fill the disk of the store", _store_full, ("database",), 10, needs="disk"),
    Kind("jump the clock", _jumped, ("worker-3",), 20, "ClockSkew", needs="clock"),
    Kind("corrupt a golden", _corrupted, ("goldens",), 3, "GoldenMismatch", spares=("projector",)),
)
"""Worker 1 is never killed, and only worker 3 has a clock that can be shifted."""
