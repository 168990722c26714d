"""The public face, for type checkers: `__init__.py` loads each of these names when it is first asked for."""

from .api.client.filters import RunsWanted
from .api.client.handle import RunHandle
from .client import Client
from .compose import Worker, WorkflowEngine, open_store
from .core.approvals import Approval
from .core.canonical import canonical_json
from .core.divergence import VOLATILE_FIELDS
from .core.errors import (
    ApprovalDecidedError,
    ApprovalError,
    ApprovalNotFoundError,
    ApproverUnknownError,
    BudgetExceededError,
    CallError,
    CredentialsRefusedError,
    DelegationRefusedError,
    DocumentError,
    EmergencyStopError,
    Failure,
    GoldenStoreError,
    IdempotencyConflictError,
    IntegrityError,
    InvalidError,
    JobConflictError,
    JobError,
    JobNotFoundError,
    NondeterminismError,
    NotCanonicalError,
    OwnershipLostError,
    PolicyViolationError,
    Problem,
    QueryUnansweredError,
    RefoldError,
    ReplayDivergenceError,
    RunConflictError,
    RunEndedError,
    RunFailedError,
    RunNotFoundError,
    RunOwnedError,
    ScopeMissingError,
    SpecConflictError,
    SpecError,
    SpecNotFoundError,
    StepFailedError,
    StepTimeoutError,
    StoreRefusedError,
    StoreUnreachableError,
    WorkflowNotFoundError,
)
from .core.failures import CatalogEntry, FailureCatalog
from .core.limits import Limits
from .core.policy.document import Policy
from .core.policy.enforcer import PolicyCheckResult, PolicyContext, PolicyEnforcer
from .core.results import StepResult, WorkflowResult
from .core.retry import Retry
from .core.runtime.context import StepContext
from .core.runtime.functions.durable import (
    approval,
    call,
    continue_as_new,
    gather,
    now,
    patched,
    random,
    run_workflow,
    set_attribute,
    set_query,
    sleep,
    uuid,
    wait_signal,
)
from .core.runtime.functions.workflow import Workflow, workflow
from .core.runtime.registry import SkillRegistry
from .core.runtime.scheduling.schedule import Schedule
from .core.runtime.skill import Skill, skill
from .core.sandbox.planner import PlannerSandbox
from .core.sandbox.report import SandboxFinding, SandboxReport
from .core.sandbox.rules import SandboxRules
from .core.secret_marks import secret
from .core.seeds import step_seed
from .core.simulation.findings import PlanEvaluation
from .core.simulation.simulate import Simulation
from .core.spec import StepDescriptor, WorkflowSpec
from .projections.checkpoints import CheckpointStore, InMemoryCheckpointStore
from .projections.golden_keys import GoldenKeys
from .projections.golden_recorder import GoldenRecorder, InMemoryGoldenRecorder
from .projections.simulating import evaluate_plan, simulate
from .sync_client import SyncClient, SyncRunHandle

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

__version__: str
