"""Refold: durable execution that can be proved.

Workflows run step by step; every step is an event in a log; replay folds the events again and proves that the hashes
are equal. This module is the public face: it imports, and nothing of ours imports it.

A name is loaded when it is first asked for, so that `refold --help` need not wait for the engine and its libraries.
Type checkers read the same names from `__init__.pyi`; a test compares the two.
"""

# pyright: reportUnsupportedDunderAll=false
# (its names come by __getattr__; a test looks for each of them)

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_NAMES = {
    "api.client.filters": ("RunsWanted",),
    "api.client.handle": ("RunHandle",),
    "client": ("Client",),
    "compose": (
        "Worker",
        "WorkflowEngine",
        "open_store",
    ),
    "core.approvals": ("Approval",),
    "core.canonical": ("canonical_json",),
    "core.divergence": ("VOLATILE_FIELDS",),
    "core.errors": (
        "ApprovalDecidedError",
        "ApprovalError",
        "ApprovalNotFoundError",
        "ApproverUnknownError",
        "BudgetExceededError",
        "CallError",
        "CredentialsRefusedError",
        "DelegationRefusedError",
        "DocumentError",
        "EmergencyStopError",
        "Failure",
        "GoldenStoreError",
        "IdempotencyConflictError",
        "IntegrityError",
        "InvalidError",
        "JobConflictError",
        "JobError",
        "JobNotFoundError",
        "NondeterminismError",
        "NotCanonicalError",
        "OwnershipLostError",
        "PolicyViolationError",
        "Problem",
        "QueryUnansweredError",
        "RefoldError",
        "ReplayDivergenceError",
        "RunConflictError",
        "RunEndedError",
        "RunFailedError",
        "RunNotFoundError",
        "RunOwnedError",
        "ScopeMissingError",
        "SpecConflictError",
        "SpecError",
        "SpecNotFoundError",
        "StepFailedError",
        "StepTimeoutError",
        "StoreRefusedError",
        "StoreUnreachableError",
        "WorkflowNotFoundError",
    ),
    "core.failures": (
        "CatalogEntry",
        "FailureCatalog",
    ),
    "core.limits": ("Limits",),
    "core.policy.document": ("Policy",),
    "core.policy.enforcer": (
        "PolicyCheckResult",
        "PolicyContext",
        "PolicyEnforcer",
    ),
    "core.results": (
        "StepResult",
        "WorkflowResult",
    ),
    "core.retry": ("Retry",),
    "core.runtime.context": ("StepContext",),
    "core.runtime.functions.durable": (
        "approval",
        "call",
        "continue_as_new",
        "gather",
        "now",
        "patched",
        "random",
        "run_workflow",
        "set_attribute",
        "set_query",
        "sleep",
        "uuid",
        "wait_signal",
    ),
    "core.runtime.functions.workflow": (
        "Workflow",
        "workflow",
    ),
    "core.runtime.registry": ("SkillRegistry",),
    "core.runtime.scheduling.schedule": ("Schedule",),
    "core.runtime.skill": (
        "Skill",
        "skill",
    ),
    "core.sandbox.planner": ("PlannerSandbox",),
    "core.sandbox.report": (
        "SandboxFinding",
        "SandboxReport",
    ),
    "core.sandbox.rules": ("SandboxRules",),
    "core.seeds": ("step_seed",),
    "core.secret_marks": ("secret",),
    "core.simulation.findings": ("PlanEvaluation",),
    "core.simulation.simulate": ("Simulation",),
    "core.spec": (
        "StepDescriptor",
        "WorkflowSpec",
    ),
    "projections.checkpoints": (
        "CheckpointStore",
        "InMemoryCheckpointStore",
    ),
    "projections.golden_keys": ("GoldenKeys",),
    "projections.golden_recorder": (
        "GoldenRecorder",
        "InMemoryGoldenRecorder",
    ),
    "projections.simulating": (
        "evaluate_plan",
        "simulate",
    ),
    "sync_client": (
        "SyncClient",
        "SyncRunHandle",
    ),
}
"""The public names by the module they come from."""

_MODULES = ("testing",)
"""Modules of their own, loaded when they are first asked for."""

_HOMES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "VOLATILE_FIELDS",
    "Approval",
    "ApprovalDecidedError",
    "ApprovalError",
    "ApprovalNotFoundError",
    "ApproverUnknownError",
    "BudgetExceededError",
    "CallError",
    "CatalogEntry",
    "CheckpointStore",
    "Client",
    "CredentialsRefusedError",
    "DelegationRefusedError",
    "DocumentError",
    "EmergencyStopError",
    "Failure",
    "FailureCatalog",
    "GoldenKeys",
    "GoldenRecorder",
    "GoldenStoreError",
    "IdempotencyConflictError",
    "InMemoryCheckpointStore",
    "InMemoryGoldenRecorder",
    "IntegrityError",
    "InvalidError",
    "JobConflictError",
    "JobError",
    "JobNotFoundError",
    "Limits",
    "NondeterminismError",
    "NotCanonicalError",
    "OwnershipLostError",
    "PlanEvaluation",
    "PlannerSandbox",
    "Policy",
    "PolicyCheckResult",
    "PolicyContext",
    "PolicyEnforcer",
    "PolicyViolationError",
    "Problem",
    "QueryUnansweredError",
    "RefoldError",
    "ReplayDivergenceError",
    "Retry",
    "RunConflictError",
    "RunEndedError",
    "RunFailedError",
    "RunHandle",
    "RunNotFoundError",
    "RunOwnedError",
    "RunsWanted",
    "SandboxFinding",
    "SandboxReport",
    "SandboxRules",
    "Schedule",
    "ScopeMissingError",
    "Simulation",
    "Skill",
    "SkillRegistry",
    "SpecConflictError",
    "SpecError",
    "SpecNotFoundError",
    "StepContext",
    "StepDescriptor",
    "StepFailedError",
    "StepResult",
    "StepTimeoutError",
    "StoreRefusedError",
    "StoreUnreachableError",
    "SyncClient",
    "SyncRunHandle",
    "Worker",
    "Workflow",
    "WorkflowEngine",
    "WorkflowNotFoundError",
    "WorkflowResult",
    "WorkflowSpec",
    "approval",
    "call",
    "canonical_json",
    "continue_as_new",
    "evaluate_plan",
    "gather",
    "now",
    "open_store",
    "patched",
    "random",
    "run_workflow",
    "secret",
    "set_attribute",
    "set_query",
    "simulate",
    "skill",
    "sleep",
    "step_seed",
    "uuid",
    "wait_signal",
    "workflow",
]


def __getattr__(name: str) -> Any:
    """A public name, loaded from the module it comes from."""
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted({*globals(), *__all__})
