"""Questions that come while another is under way are put to the store together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

from refold.api.admission import Admission, PlaceLimits
from refold.api.gathered import MOST, Gathered
from refold.api.problems import Refusal
from refold.api.run_looks import LongRunError, Seen, Wanted, looks
from refold.core.errors import RunNotFoundError
from refold.tests.api.client import Api


class Store:
    """Answers with the key in capitals, an error for what is no word, once it is let go on."""

    def __init__(self, *, limits: PlaceLimits | None = None) -> None:
        self.asked: list[list[str]] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.admission = Admission(limits)
        self.gathered = Gathered[str, str](self.admission, self.look)

    def look(self, keys: Sequence[str]) -> list[str | Exception]:
        self.asked.append(list(keys))
        self.go_on.wait(10)
        return [key.upper() if key.isalpha() else ValueError(key) for key in keys]


async def begun(store: Store, asked: int) -> None:
    async with asyncio.timeout(10):
        while len(store.asked) < asked:  # noqa: ASYNC110 (it is another thread that asks)
            await asyncio.sleep(0.001)


async def test_those_who_ask_meanwhile_are_asked_for_together() -> None:
    store = Store()
    store.go_on.clear()
    first = asyncio.ensure_future(store.gathered.get("a"))
    await begun(store, 1)
    others = [asyncio.ensure_future(store.gathered.get(key)) for key in ("b", "a", "c")]
    await asyncio.sleep(0)
    store.go_on.set()
    assert await asyncio.gather(first, *others) == ["A", "B", "A", "C"]
    assert store.asked == [["a"], ["b", "a", "c"]], "what began before is not told to those who asked later"


async def test_each_is_told_its_own_error() -> None:
    store = Store()
    found = await asyncio.gather(*map(store.gathered.get, ("a", "1", "b")), return_exceptions=True)
    assert [found[0], found[2]] == ["A", "B"] and isinstance(found[1], ValueError)


async def test_so_many_are_asked_for_at_once() -> None:
    store = Store()
    keys = [chr(ord("a") + number % 26) for number in range(3 * MOST)]
    assert await asyncio.gather(*map(store.gathered.get, keys)) == [key.upper() for key in keys]
    assert max(map(len, store.asked)) == MOST


async def test_nobody_is_asked_for_who_has_gone() -> None:
    store = Store()
    store.go_on.clear()
    first = asyncio.ensure_future(store.gathered.get("a"))
    await begun(store, 1)
    gone, there = (asyncio.ensure_future(store.gathered.get(key)) for key in ("b", "c"))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    store.go_on.set()
    assert await asyncio.gather(first, there) == ["A", "C"]
    assert store.asked == [["a"], ["c"]]


async def test_all_are_told_that_the_store_is_busy_and_the_next_are_answered() -> None:
    store = Store(limits=PlaceLimits(seconds=0.05, threads=1))
    blocks = threading.Event()
    held = asyncio.ensure_future(store.admission.ask(lambda: blocks.wait(10)))
    refused = await asyncio.gather(*map(store.gathered.get, "ab"), return_exceptions=True)
    assert all(isinstance(each, Refusal) for each in refused), refused
    blocks.set()
    await held
    assert await store.gathered.get("c") == "C"


def test_a_long_run_is_left_to_be_looked_at_by_itself(memory_api: Api) -> None:
    for run_id in ("one", "two"):
        memory_api.start(run_id=run_id)
    asked = [Wanted("default", run_id) for run_id in ("one", "nobody", "two")]
    for longest, expected in ((1, Seen), (0, LongRunError)):
        kinds = [type(each) for each in looks(memory_api.store, asked, longest)]
        assert kinds == [expected, RunNotFoundError, expected]
