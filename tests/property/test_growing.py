"""Tables that follow the log live are those that a rebuild makes, whatever the runs, the batches and the store."""

from __future__ import annotations

from random import Random
from uuid import uuid4

import pytest

from refold import open_store
from refold.eventstore.memory import MemoryStore
from refold.eventstore.owner import this_process
from refold.eventstore.store import Store
from refold.projections.rebuild import Rebuild
from refold.projections.runner import Runner, generation_for
from refold.tests.support.grown import GROWING, mixed
from refold.tests.support.projected import caught_up, rows_of, wanted_rows

STORES = ("memory", "sqlite", "postgres")


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "memory":
        return MemoryStore()
    is_file = request.param == "sqlite"
    url = (
        f"sqlite:///{request.getfixturevalue('tmp_path') / 'store.db'}"
        if is_file
        else request.getfixturevalue("postgres_url")
    )
    opened = open_store(url)
    request.addfinalizer(opened.close)
    return opened


@pytest.mark.parametrize("seed", range(4))
async def test_followed_tables_equal_rebuilt_ones(store: Store, seed: int) -> None:
    random = Random(seed)
    for part in range(3):
        await mixed(store, random.randint(4, 10), 10 * seed + part)
        for projection in (each() for each in GROWING):
            of = generation_for(store, projection)
            assert of is not None
            batch, cached = random.choice([1, 3, 17, 500]), random.choice([0, 1, 10_000])
            runner = Runner(store, projection, this_process(uuid4().hex), of, batch=batch, cached=cached)
            for _ in range(random.randint(1, 40)):
                runner.step()
            runner.release()
    for projection in (each() for each in GROWING):
        caught_up(store, projection, random.choice([1, 50]), cached=2)
        rebuilt = Rebuild(store, projection, this_process(uuid4().hex), batch=random.choice([2, 64])).run(compare=True)
        assert rebuilt.compared and rebuilt.switched
        assert rows_of(store, projection.name) == wanted_rows(store, projection), f"{projection.name}, seed {seed}"
