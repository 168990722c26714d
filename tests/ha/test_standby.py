"""A standby answers whatever only reads, and says what it is to whoever writes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from refold import StoreUnreachableError, WorkflowEngine
from refold.eventstore.postgres_servers import meant
from refold.tests.support.replicated import Node, Pair, refold, replicated
from refold.tests.support.workflows import spec, step

KEYED = {"REFOLD_AUDIT_KEY": "log.pem"}


async def test_a_standby_is_proved_and_audited_and_refuses_writes(tmp_path: Path) -> None:
    with replicated() as pair:
        async with WorkflowEngine(pair.url) as engine:
            for number in range(3):
                await engine.run(spec(step("a", "echo", x=1), step("b", "hash", of="${a.x}")), f"run-{number}")
        caught_up(pair)
        standby = pair.standby.url
        for words in (
            "list",
            "show run-1",
            "verify --all",
            "replay --all",
            "dispatch rebuild --check",
            "audit keygen --name example.com/log -o log.pem",
            "audit head",
            "audit publish --to published",
            "audit check --head published --key log.pub.pem",
        ):
            done = refold(standby, *words.split(), folder=tmp_path, **KEYED)
            assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        with pytest.raises(StoreUnreachableError, match="read-only, as a standby is; name all"):
            async with WorkflowEngine(standby, patience=0) as engine:
                await engine.start(spec(step("a", "echo")), "run-3")


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("postgresql://u:p@one:1,two:2/db", True),
        ("postgresql:///db?host=/one,/two", True),
        ("postgresql://one,two/db?target_session_attrs=any", False),
        ("postgresql://one/db", False),
    ],
)
def test_of_several_servers_the_one_that_takes_writes_is_meant(url: str, wanted: bool) -> None:
    assert ("target_session_attrs=read-write" in meant(url)) == wanted
    assert wanted or meant(url) == url


def caught_up(pair: Pair) -> None:
    """Wait until the standby shows what the primary has: a synchronous one has it on disk somewhat earlier."""
    ((end,),) = pair.primary.ask("SELECT pg_current_wal_lsn()")
    give_up = time.monotonic() + 60
    while not shows(pair.standby, end):
        assert time.monotonic() < give_up, "the standby does not catch up"
        time.sleep(0.05)


def shows(standby: Node, end: str) -> bool:
    """Whether the standby has replayed up to `end`."""
    return bool(standby.ask(f"SELECT pg_last_wal_replay_lsn() >= '{end}'")[0][0])
