"""A clock that has jumped: needs Debian's faketime, which gives one process another time than the database's."""

from __future__ import annotations

import json
import subprocess
from contextlib import closing

import pytest

from refold.compose import open_store
from refold.tests.support.doctored import COMMAND, Seen


@pytest.mark.parametrize(("offset", "state"), [("+5s", "warning"), ("-90s", "failed")])
def test_a_clock_that_has_jumped_is_told(postgres_url: str, offset: str, state: str) -> None:
    with closing(open_store(postgres_url)):
        pass
    words = ["faketime", "-f", offset, *COMMAND, "--database", postgres_url]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.stdout, done.stderr
    seen = Seen.of(done.returncode, done.stdout)
    assert seen.checks["clock"]["state"] == state, json.dumps(seen.checks)
    assert seen.checks["clock"]["fix"] == "timedatectl set-ntp true"
    assert ("ahead of" if offset.startswith("+") else "behind") in seen.checks["clock"]["detail"]
