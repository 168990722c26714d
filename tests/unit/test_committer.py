"""Group commit: what happens to units when the store answers, answers late, answers nonsense, or not at all."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from refold.core.errors import OwnershipLostError, RefoldError, StoreError, StoreRefusedError, StoreUnreachableError
from refold.core.ports import EMPTY, Ack, Append, Head, Unit
from refold.eventstore.journal import Journal
from refold.eventstore.memory import MemoryStore
from refold.eventstore.sealing import SealedUnit, Sealer
from refold.tests.support.faulty import Fault, FaultyStore
from refold.tests.support.units import Writer, said

STREAM = "default/run"


class Bench:
    """A journal over a store in memory, with whatever a test puts between them."""

    def __init__(self) -> None:
        self.memory = MemoryStore()
        self.journals: list[Journal] = []

    def journal(self, *script: Fault | Exception, patience: float = 5.0) -> Journal:
        self.faulty = FaultyStore(self.memory, script=script)
        store: Any = self.faulty
        self.journals.append(Journal(store, Sealer("build"), "me", patience=patience))
        return self.journals[-1]


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    for journal in made.journals:
        journal.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "refold-committer"]


def unit(stream: str = STREAM, head: Head = EMPTY, text: str = "") -> Unit:
    return Unit([Append(stream, head, [said(text)])])


def _wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.001)


async def test_a_unit_is_answered_with_its_new_head(bench: Bench) -> None:
    (head,) = await bench.journal().commit(unit())
    assert bench.memory.heads([STREAM]) == {STREAM: head}


async def test_many_units_share_one_transaction(bench: Bench) -> None:
    journal = bench.journal(Fault.SLOW)
    heads = await asyncio.gather(*(journal.commit(unit(f"default/{n}")) for n in range(200)))
    assert [head.version for (head,) in heads] == [1] * 200
    assert bench.faulty.calls <= 3, "200 units that were there together took more than a few transactions"


async def test_units_of_one_stream_keep_their_order(bench: Bench) -> None:
    journal = bench.journal(Fault.SLOW)
    sealer = Sealer("build", journal._sealer.writer)  # pyright: ignore[reportPrivateUsage]
    head, jobs = EMPTY, list[asyncio.Future[Sequence[Head]]]()
    for number in range(20):
        jobs.append(asyncio.ensure_future(journal.commit(unit(head=head, text=str(number)))))
        head = sealer.seal(unit(head=head, text=str(number))).appends[0].head
    await asyncio.gather(*jobs)
    assert bench.memory.heads([STREAM]) == {STREAM: head}


async def test_a_refused_unit_takes_those_behind_it_along_but_not_its_neighbours(bench: Bench) -> None:
    rival = Writer("rival")
    bench.memory.commit([rival.one(STREAM)], "rival")
    journal = bench.journal(Fault.SLOW)
    sealed = Sealer("build", journal._sealer.writer).seal(unit())  # pyright: ignore[reportPrivateUsage]
    answers = await asyncio.gather(
        journal.commit(unit()),
        journal.commit(unit(head=sealed.appends[0].head)),
        journal.commit(unit("default/neighbour")),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [OwnershipLostError, OwnershipLostError, list]
    assert len(bench.memory.read(STREAM)) == 1 == len(bench.memory.read("default/neighbour"))


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.AFTER, Fault.LATE, Fault.LATER, Fault.SLOW])
@pytest.mark.parametrize("times", [1, 3])
async def test_a_commit_without_an_answer_settles_to_exactly_once(bench: Bench, fault: Fault, times: int) -> None:
    journal = bench.journal(*[fault] * times)
    (head,) = await journal.commit(unit())
    (head,) = await journal.commit(unit(head=head))
    assert head.version == 2 == len(bench.memory.read(STREAM)) == bench.memory.last_position()
    assert bench.memory.heads([STREAM]) == {STREAM: head}


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.LATER])
async def test_bytes_that_another_writer_beat_are_not_taken_for_ours(bench: Bench, fault: Fault) -> None:
    """Both append the same event to the same head; only the writer's nonce tells them apart."""
    rival = Writer("rival")
    bench.memory.commit([rival.one(STREAM)], "rival")
    with pytest.raises(OwnershipLostError, match="no longer version 0"):
        await bench.journal(fault).commit(unit())
    assert len(bench.memory.read(STREAM)) == 1


async def test_our_bytes_are_recognised_though_others_followed(bench: Bench) -> None:
    journal = bench.journal(Fault.AFTER)
    waiting = asyncio.ensure_future(journal.commit(unit()))
    await asyncio.to_thread(_wait_for, lambda: bench.memory.read(STREAM))
    rival = Writer("rival")
    rival.heads = bench.memory.heads([STREAM])
    bench.memory.commit([rival.one(STREAM)], "rival")
    (head,) = await waiting
    assert head.version == 1


async def test_after_its_patience_the_error_says_that_the_store_is_unreachable(bench: Bench) -> None:
    journal = bench.journal(*[Fault.BEFORE] * 1_000, patience=0.2)
    begun = time.monotonic()
    answers = await asyncio.gather(
        journal.commit(unit()), journal.commit(unit("default/other")), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [StoreUnreachableError] * 2
    assert time.monotonic() - begun < 2
    bench.faulty._script = iter(())  # pyright: ignore[reportPrivateUsage]
    assert (await journal.commit(unit()))[0].version == 1, "the committer does not come back with the store"


@pytest.mark.parametrize("error", [ValueError("nonsense"), RecursionError(), MemoryError(), StoreRefusedError("no")])
async def test_the_committer_survives_whatever_the_store_raises(
    bench: Bench, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    journal = bench.journal(error)
    with pytest.raises(RefoldError, match=str(error) or type(error).__name__):
        await journal.commit(unit())
    assert (await journal.commit(unit()))[0].version == 1


class _Picky(MemoryStore):
    """Fails as a whole when one of the units is poison, as a database does."""

    def commit(self, units: Sequence[SealedUnit], owner: str) -> list[bool]:
        if any(append.stream == "default/poison" for unit in units for append in unit.appends):
            raise StoreRefusedError("this cannot be stored")
        return super().commit(units, owner)


async def test_a_unit_that_cannot_be_stored_fails_alone(bench: Bench) -> None:
    bench.memory = _Picky()
    journal = bench.journal()
    names = ["a", "poison", "b"]
    answers = await asyncio.gather(*(journal.commit(unit(f"default/{n}")) for n in names), return_exceptions=True)
    assert [type(answer) for answer in answers] == [list, StoreRefusedError, list]
    assert bench.memory.last_position() == 2


async def test_one_caller_that_fails_does_not_keep_the_others_from_their_answers(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    journal = bench.journal()
    answered: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()

    def fail(ack: Ack) -> None:
        raise RuntimeError("an observer of the user's")

    journal.append(unit("default/a"), fail)
    journal.append(unit("default/b"), answered.set_result)
    assert not isinstance(await answered, RefoldError)
    assert "acknowledgement" in caplog.text


async def test_what_cannot_be_encoded_is_refused_before_it_is_queued(bench: Bench) -> None:
    journal = bench.journal()
    with pytest.raises(RefoldError, match=r"message\.sent"):
        await journal.commit(unit(text="half a character: \ud83d"))
    assert (await journal.commit(unit()))[0].version == 1


async def test_closing_commits_what_is_queued(bench: Bench) -> None:
    journal = bench.journal(Fault.SLOW, Fault.AFTER)
    jobs = [asyncio.ensure_future(journal.commit(unit(f"default/{n}"))) for n in range(10)]
    await asyncio.sleep(0)
    journal.close()
    assert bench.memory.last_position() == 10
    await asyncio.gather(*jobs)


async def test_a_closed_journal_says_so(bench: Bench) -> None:
    journal = bench.journal()
    journal.close()
    with pytest.raises(StoreError, match="closed"):
        await asyncio.wait_for(journal.commit(unit()), 10)


def test_a_loop_that_was_closed_does_not_hurt_the_committer(bench: Bench) -> None:
    journal = bench.journal(Fault.SLOW)
    left: list[Any] = []

    async def leave() -> None:
        journal.append(unit(), left.append)
        await asyncio.sleep(0)

    asyncio.run(leave())

    async def again() -> Sequence[Head]:
        return await journal.commit(unit("default/other"))

    assert asyncio.run(again())[0].version == 1
    assert bench.memory.last_position() == 2
