"""One of several worker processes under one policy: `python -P -m refold.tests.support.crew_child URL POLICY FILE`.

Each attempt leaves lines in FILE: `begin` with the times before its grant was asked for and as the skill began, and
`end`. The times are of the machine's monotonic clock, which its processes share. The worker drains when its standard
input ends.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from refold import SkillRegistry, StepContext, Worker, open_store
from refold.core.ledger import Answer, Request
from refold.core.policy.document import Policy

from .sites import Through


class Spell(NamedTuple):
    """An attempt as its skill saw it, in seconds: its grant lies between `asked` and `began`. `ended` is None where the
    process was killed. `key` names the step."""

    pid: int
    key: str
    asked: float
    began: float
    ended: float | None


class _Stamped:
    """A ledger that notes when each attempt was asked for last."""

    def __init__(self, inner: Any):
        self._inner = inner
        self.asked: dict[tuple[str, str], float] = {}

    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        """See `Ledger.ask`."""
        now = time.monotonic()
        self.asked.update({(each.stream, each.step): now for each in requests})
        return self._inner.ask(requests)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def read_spells(path: Path) -> list[Spell]:
    """What the file says, in the order of beginnings."""
    spells: dict[tuple[int, str], Spell] = {}
    for line in path.read_text().splitlines():
        word, pid, key, *times = line.split()
        at = (int(pid), key)
        if word == "begin":
            spells[at] = Spell(*at, float(times[0]), float(times[1]), None)
        else:
            spells[at] = spells[at]._replace(ended=float(times[0]))
    return sorted(spells.values(), key=lambda spell: spell.began)


def skills_of(file: int | None, ledger: _Stamped | None) -> SkillRegistry:
    """`work`, which costs a cent and takes the milliseconds that it is told."""
    registry = SkillRegistry()

    @registry.skill("work", cost_cents=1)
    async def work(ctx: StepContext, ms: float = 0) -> None:
        if file is None or ledger is None:
            return
        key = f"{ctx.run_id}/{ctx.index}/{ctx.attempt}"
        began, asked = time.monotonic(), ledger.asked.get((f"default/{ctx.run_id}", str(ctx.index)))
        os.write(file, f"begin {os.getpid()} {key} {began if asked is None else asked} {began}\n".encode())
        await asyncio.sleep(ms / 1000)
        os.write(file, f"end {os.getpid()} {key} {time.monotonic()}\n".encode())

    return registry


async def main(url: str, policy: str, path: str) -> None:
    """Work until nobody writes to our standard input any more."""
    store = open_store(url, migrate=False)
    file, ledger = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), _Stamped(store.ledger)
    stamped: Any = Through(store, ledger=ledger)
    rules = Policy.parse(orjson.loads(policy))
    worker = Worker(stamped, skills_of(file, ledger), policy=rules, concurrency=100, lease_seconds=5)
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    ended.add_done_callback(lambda _: worker.drain())
    await worker.run()
    store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
