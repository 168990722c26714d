"""The data key of a run, made before the run's first event is written."""

from __future__ import annotations

import asyncio

from ..errors import DataKeyError
from ..events import RunStarted
from ..ids import stream_of
from ..plan import plan_of
from ..ports import DataKeyring
from .admission import MAX_LABEL, check_text
from .registry import SkillRegistry


async def begin_keys(
    keys: DataKeyring | None, skills: SkillRegistry, started: RunStarted, subject: str | None = None
) -> None:
    """Have a key for the run that begins with `started`, if it will hold sensitive data as far as is known here.

    Raises DataKeyError where there is none to be had, CallError for a subject of a run without such data.
    """
    if subject is not None:
        check_text("the subject", subject, MAX_LABEL)
    if subject is None and not _holds(skills, started):
        return
    if keys is None:
        raise DataKeyError("the run holds sensitive data, and this engine knows no data keys")
    about = None if subject is None else await asyncio.to_thread(keys.subject, started.tenant, subject)
    await asyncio.to_thread(keys.ensure, stream_of(started.tenant, started.run_id), None, about)


def _holds(skills: SkillRegistry, started: RunStarted) -> bool:
    if started.inputs.hidden is not None:
        return True
    if started.spec is None:
        return False
    plan = plan_of(started.spec.data)
    return plan.sensitive or any(skill is not None and skill.sensitive for skill in map(skills.find, plan.skill_ids))
