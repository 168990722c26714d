"""Refold: durable execution that can be proved.

Workflows run step by step; every step is an event in a log; replay folds the events again and proves that the hashes
are equal. This module is the public face: it imports, and nothing of ours imports it.
"""

from __future__ import annotations

from .compose import WorkflowEngine, open_store
from .core.canonical import canonical_json
from .core.errors import (
    CallError,
    DocumentError,
    IntegrityError,
    InvalidError,
    NotCanonicalError,
    OwnershipLostError,
    Problem,
    RefoldError,
    ReplayDivergenceError,
    RunConflictError,
    RunEndedError,
    RunNotFoundError,
    RunOwnedError,
    SpecError,
    StepError,
    StoreRefusedError,
    StoreUnreachableError,
)
from .core.limits import Limits
from .core.results import StepResult, WorkflowResult
from .core.retry import Retry
from .core.runtime.context import StepContext
from .core.runtime.registry import SkillRegistry
from .core.runtime.skill import Skill, skill
from .core.seeds import step_seed
from .core.spec import StepDescriptor, WorkflowSpec

__all__ = [
    "CallError",
    "DocumentError",
    "IntegrityError",
    "InvalidError",
    "Limits",
    "NotCanonicalError",
    "OwnershipLostError",
    "Problem",
    "RefoldError",
    "ReplayDivergenceError",
    "Retry",
    "RunConflictError",
    "RunEndedError",
    "RunNotFoundError",
    "RunOwnedError",
    "Skill",
    "SkillRegistry",
    "SpecError",
    "StepContext",
    "StepDescriptor",
    "StepError",
    "StepResult",
    "StoreRefusedError",
    "StoreUnreachableError",
    "WorkflowEngine",
    "WorkflowResult",
    "WorkflowSpec",
    "canonical_json",
    "open_store",
    "skill",
    "step_seed",
]

__version__ = "0.1.0"
