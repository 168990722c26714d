"""What takes long is found out once for all who ask within a moment."""

from __future__ import annotations

import asyncio

import pytest

from refold.api.kept import FRESH_SECONDS, MOST_KEPT, SLOW_SECONDS, STALE_SECONDS, Kept


class Looks:
    """A look that takes `seconds` of a clock that only it, and the test, moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.times = 0
        self.kept = Kept[str](lambda: self.now)
        self.seconds = 2 * SLOW_SECONDS

    async def look(self) -> str:
        self.times += 1
        number = self.times
        await asyncio.sleep(0)
        self.now += self.seconds
        return f"look {number}"

    async def get(self, key: str = "a") -> str:
        return await self.kept.get(key, self.look)


async def test_those_who_ask_at_once_share_a_look() -> None:
    looks = Looks()
    assert await asyncio.gather(*(looks.get() for _ in range(50))) == ["look 1"] * 50
    assert await asyncio.gather(looks.get("a"), looks.get("b")) == ["look 1", "look 2"]


async def test_what_is_a_moment_old_is_told_once_more_while_it_is_found_out_anew() -> None:
    looks = Looks()
    assert await looks.get() == "look 1"
    looks.now += FRESH_SECONDS
    assert await looks.get() == "look 1" and looks.times == 1, "the next look has not begun to run"
    while looks.times < 2:  # noqa: ASYNC110
        await asyncio.sleep(0)
    await asyncio.sleep(0.001)
    assert await looks.get() == "look 2"
    looks.now += STALE_SECONDS
    assert await looks.get() == "look 3", "what is older is not told"


async def test_what_takes_little_is_never_old() -> None:
    looks = Looks()
    looks.seconds = SLOW_SECONDS / 2
    assert [await looks.get() for _ in range(3)] == ["look 1", "look 2", "look 3"]


async def test_a_look_that_fails_is_told_to_those_who_wait_and_tried_again() -> None:
    kept = Kept[str]()

    async def fails() -> str:
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            await kept.get("a", fails)


async def test_no_more_is_kept_than_was_asked_for_last() -> None:
    looks = Looks()
    for number in range(MOST_KEPT + 1):
        await looks.get(str(number))
    await looks.get(str(MOST_KEPT))
    assert looks.times == MOST_KEPT + 1
    await looks.get("0")
    assert looks.times == MOST_KEPT + 2


async def test_who_does_not_wait_is_told_what_was_found_last() -> None:
    looks = Looks()
    assert await looks.kept.soon("a", looks.look, 5) == "look 1"
    looks.now += 1000
    gate = asyncio.Event()

    async def slow() -> str:
        await gate.wait()
        return await looks.look()

    assert await looks.kept.soon("a", slow, 0) == "look 1"
    assert await looks.kept.soon("b", slow, 0) is None, "nothing was found yet"
    gate.set()
    assert await looks.kept.get("b", slow) == "look 3"
