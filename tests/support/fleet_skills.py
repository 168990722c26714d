"""The code of the runs that `refold.tests.support.projected.fill` makes, for commands that are given a module."""

from __future__ import annotations

from refold.tests.support.projected import double, parental, patient, tripled
from refold.tests.support.random_specs import FORMS, Gates, work_skills

_gates = Gates()
_gates.open()
_registry = work_skills(_gates)
inline_work, async_work, thread_work, guess_work = (_registry.get(name) for name in FORMS)

__all__ = ["async_work", "double", "guess_work", "inline_work", "parental", "patient", "thread_work", "tripled"]
