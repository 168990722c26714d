"""Every code of the catalog is brought about for real, and is what the step, the run or the caller gets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from refold.core.failures import FAILURES
from refold.ops.certify_faults import FAULTS, Bench, statuses_served
from refold.tests.support.provoked_access import ACCESS
from refold.tests.support.provoked_approvals import APPROVALS
from refold.tests.support.provoked_http import HTTP
from refold.tests.support.provoked_jobs import JOBS
from refold.tests.support.provoked_policies import POLICIES
from refold.tests.support.provoked_runs import RUNS, Provoke
from refold.tests.support.provoked_secrets import SECRECY
from refold.tests.support.provoked_serving import SERVING
from refold.tests.support.provoked_skills import SKILLS, STATUSES, fail_by_skill
from refold.tests.support.provoked_webhooks import WEBHOOKS
from refold.tests.support.workflows import soon, step


def _answered(status: int) -> Provoke:
    return lambda bench: bench.run(step("faulty", "http_call", url=f"{bench.web}/{status}"))


PROVOKED: dict[str, Provoke] = {
    **{fault.code: fault.bring for fault in FAULTS},
    **{code: partial(fail_by_skill, code=code) for code in SKILLS},
    **{code: _answered(status) for code, status in STATUSES.items()},
    **RUNS,
    **POLICIES,
    **APPROVALS,
    **WEBHOOKS,
    **JOBS,
    **SECRECY,
    **ACCESS,
    **HTTP,
    **SERVING,
    "SECRET_MISSING": lambda bench: bench.run(step("faulty", "echo", x="${secrets.NOWHERE}")),
    "IDEMPOTENCY_KEY_MISSING": lambda bench: bench.run(step("faulty", "file_write", path="x", content="")),
}
"""How each code is brought about."""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A database, an engine, a folder and a web server."""
    with statuses_served() as web:
        made = Bench(tmp_path, web)
        made.run_id = "r"
        with closing(made.store):
            yield made


@pytest.mark.parametrize("code", sorted(PROVOKED))
async def test_the_code_is_told_when_that_goes_wrong(bench: Bench, code: str) -> None:
    try:
        assert await soon(PROVOKED[code](bench)) == code
    finally:
        await bench.engine.close()


def test_no_code_of_the_catalog_is_left_out() -> None:
    assert PROVOKED.keys() == FAILURES.keys()
