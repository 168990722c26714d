"""What goes wrong with jobs, by the code that whoever asks must get."""

from __future__ import annotations

from refold.ops.certify_faults import Bench

from .provoked_runs import Provoke, code_of


async def no_job(bench: Bench) -> str | None:
    """There is no job of this id, and none can have the other one."""
    assert await code_of(bench.engine.jobs.stop("../x")) == "JOB_NOT_FOUND"
    return await code_of(bench.engine.jobs.get(f"job-{'0' * 32}"))


async def wrong_state(bench: Bench) -> str | None:
    """A job that has ended cannot be stopped, and its key stands for no other one."""
    jobs = bench.engine.jobs
    job, _ = await jobs.ask("bulk", {"verb": "cancel"}, 0, key="k")
    assert await code_of(jobs.ask("bulk", {"verb": "pause"}, 0, key="k")) == "JOB_CONFLICT"
    held = await jobs.take('["bulk"]', "here")
    assert held is not None
    await held.complete({})
    return await code_of(jobs.stop(job.asked.job_id))


JOBS: dict[str, Provoke] = {"JOB_NOT_FOUND": no_job, "JOB_CONFLICT": wrong_state}
"""How each of their codes is brought about."""
