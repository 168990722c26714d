"""`refold approvals watch`."""

from __future__ import annotations

import os
import time
from contextlib import closing

from ...compose import WorkflowEngine, database_url, open_store, tune_process
from ...projections.approval_watch import ApprovalWatch
from ..settings import store_patience
from .faults import OK, Hidden
from .logs import log_to_stderr
from .output import console, plain, write_json
from .signals import run_until_drained
from .streams import note


def watch(late: float, once: bool, database: str | None, json: bool) -> int:
    """Watch over approvals until a signal asks for an end, or look `once`; returns the exit code."""
    url = database_url(database)
    hide = Hidden([url])
    log_to_stderr(hide)
    tune_process()
    patience = store_patience()
    me = f"watch {os.getpid()}"
    sent = 0
    with closing(open_store(url)) as store:
        watches: list[ApprovalWatch] = []

        async def work() -> None:
            nonlocal sent
            async with WorkflowEngine(store, patience=patience) as engine:
                watching = ApprovalWatch(store, engine.approvals, lambda: time.time_ns() // 1000, late_seconds=late)
                watches.append(watching)
                await (watching.once() if once else watching.run())
                sent = watching.sent

        def drain() -> None:
            for each in watches:
                each.drain()

        hello = f"{me} looks after the approvals of {plain(hide(url))}"
        run_until_drained(work, drain, lambda: None if once else note(hello))
    if json:
        write_json({"sent": sent})
    else:
        console().print(f"{me} has sent {sent} messages", soft_wrap=True)
    return OK
