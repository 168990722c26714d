"""Everything Refold raises on purpose, as one tree.

    RefoldError
    ├── InvalidError             a document, value or call is not acceptable: pointer, reason and fix of each problem
    │   ├── NotCanonicalError    a value that RFC 8785 cannot express
    │   ├── DocumentError        text that is no JSON or YAML we accept
    │   ├── SpecError            a workflow spec that cannot run
    │   │   └── SpecConflictError  its version is registered with another content
    │   └── CallError            a run id, seed, input or option that cannot be used
    │       ├── SpecNotFoundError  no spec is registered under this name or version
    │       └── WorkflowNotFoundError  no workflow function of this type is registered here
    ├── AddressRefusedError      a URL leads where nothing may be sent
    ├── KeyNotFoundError         no such key of the HTTP API
    ├── CredentialsRefusedError  a server asks for a key, and was shown none that counts
    ├── ScopeMissingError        the key that a server was shown does not allow this
    ├── RunError
    │   ├── RunNotFoundError     no such run
    │   ├── RunConflictError     the run id is taken by a run of another spec, inputs or seed
    │   ├── IdempotencyConflictError  the idempotency key stands for another request
    │   │   └── RequestDoneError  the request was done under this key before
    │   ├── RunOwnedError        another live process holds the run's lease
    │   ├── RunEndedError        the run has ended, so the message comes too late
    │   ├── ApprovalError        a decision about an approval is refused
    │   │   ├── ApprovalNotFoundError  the run has no such approval
    │   │   ├── ApprovalDecidedError   it is decided, or this person has decided
    │   │   ├── ApproverUnknownError   this person is none of its approvers
    │   │   └── DelegationRefusedError  it cannot be delegated to this person
    │   ├── RunFailedError       the run whose result was asked for did not complete
    │   └── QueryUnansweredError no worker answered a query in time
    ├── PolicyViolationError     a policy, a budget, a limit or an emergency stop refuses
    │   ├── BudgetExceededError  there is not enough left in a budget
    │   └── EmergencyStopError   an emergency stop is in force
    ├── Failure                raised by skills: a failure with a code of its own
    │   └── StepFailedError      raised in a workflow function by awaiting a step that failed
    │       └── StepTimeoutError   it failed because its time was up
    ├── StoreError
    │   ├── StoreUnreachableError  the database does not answer; nothing acknowledged was lost
    │   ├── StoreRefusedError      the database is set up in a way that could lose data, or its schema is not ours
    │   ├── GoldenStoreError       the folder of goldens cannot be read or written
    │   └── OwnershipLostError     somebody else appended to the stream; what we hold in memory is void
    ├── DataError
    │   ├── DataErasedError        sensitive data that was erased, or whose key is not here
    │   └── DataKeyError           there is no key to encrypt sensitive data with
    └── ProofError
        ├── IntegrityError         stored bytes are not what was written
        └── ReplayDivergenceError  running again gave something else
            └── NondeterminismError  a workflow function does not ask for what its history holds

Each class carries the failure code (`refold.core.failures`) under which it is reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple


class Problem(NamedTuple):
    """One thing that is wrong with a document: where (RFC 6901 pointer), why, and what to do about it."""

    pointer: str
    reason: str
    fix: str = ""

    def __str__(self) -> str:
        where = f"at {self.pointer}: " if self.pointer else ""
        return f"{where}{self.reason}" + (f". Fix: {self.fix}" if self.fix else "")


class RefoldError(Exception):
    """The root of the tree; `code` names the entry in the failure catalog."""

    code: ClassVar[str] = "INTERNAL_ERROR"


class InvalidError(RefoldError):
    """Something given to Refold is not acceptable; `problems` lists every reason found, never empty."""

    code = "INPUT_INVALID"

    def __init__(self, problems: Sequence[Problem] | Problem):
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))


class NotCanonicalError(InvalidError, ValueError):
    """A value that has no canonical JSON: NaN, an integer beyond 2^53-1, a key that is no string, no JSON type."""


class DocumentError(InvalidError, ValueError):
    """Text that cannot be read: bad syntax, duplicate keys, too deep, too large."""


class SpecError(InvalidError, ValueError):
    """A workflow spec that cannot run."""

    code = "SPEC_INVALID"


class CallError(InvalidError, ValueError):
    """A run id, seed, input or option that cannot be used."""


class SpecConflictError(SpecError):
    """The spec's type and version are registered with another content; the problems point to what differs."""

    code = "SPEC_CONFLICT"


class SpecNotFoundError(CallError, LookupError):
    """No spec is registered under this name, or not in this version; the fix names what there is."""

    code = "SPEC_NOT_FOUND"


class WorkflowNotFoundError(CallError, LookupError):
    """No workflow function of this type is registered where the run was to go on."""

    code = "WORKFLOW_UNKNOWN"


class AddressRefusedError(RefoldError):
    """A URL cannot be read in one way only, or leads where nothing may be sent unless it is allowed."""

    code = "WEBHOOK_ADDRESS_REFUSED"


class KeyNotFoundError(RefoldError, LookupError):
    """There is no key of this id, or not of this tenant."""

    code = "KEY_NOT_FOUND"


class CredentialsRefusedError(RefoldError):
    """A server was shown no key that counts: none, or one that is unknown, expired or revoked."""

    code = "CREDENTIALS_REFUSED"


class ScopeMissingError(RefoldError):
    """The key that a server was shown counts, but not for this."""

    code = "SCOPE_MISSING"


class RunError(RefoldError):
    """Something about one run stands in the way."""


class RunNotFoundError(RunError, LookupError):
    """The store holds no run of this id."""

    code = "RUN_NOT_FOUND"


class RunConflictError(RunError):
    """The run id belongs to a run with another spec, other inputs or another seed."""

    code = "RUN_CONFLICT"


class IdempotencyConflictError(RunError):
    """The idempotency key was used for another request."""

    code = "IDEMPOTENCY_CONFLICT"


class RequestDoneError(IdempotencyConflictError):
    """The request was done before, under the same idempotency key, at `at` (µs since 1970)."""

    def __init__(self, at: int):
        super().__init__("this was done under the same idempotency key before")
        self.at = at


class RunOwnedError(RunError):
    """Another live process is working on the run."""

    code = "RUN_OWNED"


class RunEndedError(RunError):
    """The run has ended; it takes no more messages."""

    code = "RUN_ENDED"


class ApprovalError(RunError):
    """A decision about an approval is refused; nothing was written."""

    code = "APPROVAL_NOT_FOUND"


class ApprovalNotFoundError(ApprovalError, LookupError):
    """The run has no such approval, or no open one where none was named."""


class ApprovalDecidedError(ApprovalError):
    """The approval is granted, rejected, expired or cancelled with its run; or this person has decided already."""

    code = "APPROVAL_DECIDED"


class ApproverUnknownError(ApprovalError):
    """This person is none of those who may decide."""

    code = "APPROVER_UNKNOWN"


class DelegationRefusedError(ApprovalError):
    """The approval cannot be delegated to this person, who has a place in it or gave one away."""

    code = "DELEGATION_REFUSED"


class RunFailedError(RunError):
    """The run whose result was asked for failed, was cancelled or timed out.

    `status` says which of them, `error_code` and `message` why: None where nothing more is known.
    """

    code = "RUN_FAILED"

    def __init__(self, run_id: str, status: str, error_code: str | None = None, message: str | None = None):
        why = " ".join(filter(None, (f"[{error_code}]" if error_code else "", message)))
        super().__init__(f"run {run_id} is {status}" + (f": {why}" if why else ""))
        self.run_id = run_id
        self.status = status
        self.error_code = error_code
        self.message = message


class QueryUnansweredError(RunError):
    """No worker that has the run's code answered a query in time. Asking again does no harm."""

    code = "QUERY_UNANSWERED"


class JobError(RefoldError):
    """Something about a job stands in the way."""

    code = "JOB_CONFLICT"


class JobNotFoundError(JobError, LookupError):
    """The tenant has no job of this id."""

    code = "JOB_NOT_FOUND"


class JobConflictError(JobError):
    """The job is not in a state in which that can be done, or its key stands for another job."""

    code = "JOB_CONFLICT"


class PolicyViolationError(RefoldError):
    """Something was refused: `step_code` is the failure code of the refusal, `rule` the policy's rule, "" for none."""

    code = "POLICY_REFUSED"

    def __init__(self, reason: str, step_code: str = "POLICY_REFUSED", rule: str = ""):
        super().__init__(f"rule {rule}: {reason}" if rule else reason)
        self.step_code = step_code
        self.rule = rule


class BudgetExceededError(PolicyViolationError):
    """There is not enough left in a budget."""

    code = "BUDGET_EXCEEDED"

    def __init__(self, reason: str, step_code: str = "BUDGET_EXCEEDED", rule: str = ""):
        super().__init__(reason, step_code, rule)


class EmergencyStopError(PolicyViolationError):
    """An emergency stop is in force: nothing was begun, or the run rests. It can be resumed after the release."""

    code = "EMERGENCY_STOP"

    def __init__(self, reason: str):
        super().__init__(reason, self.code)


class Failure(RefoldError):
    """Raised by a skill to fail its step with a code of the failure catalog.

    `retryable` overrides what the catalog says of the code; None leaves it to the catalog.
    """

    def __init__(self, code: str, message: str, *, retryable: bool | None = None):
        super().__init__(message)
        self.step_code = code
        self.retryable = retryable


class StepFailedError(Failure):
    """Raised in a workflow function where it awaits a step that failed for good; `step_code` says why."""

    def __init__(self, code: str, message: str, *, step_id: str, attempts: int):
        super().__init__(code, message, retryable=False)
        self.step_id = step_id
        self.attempts = attempts


class StepTimeoutError(StepFailedError, TimeoutError):
    """The step failed because its time was up: a signal, a child or the step itself took too long."""


class StoreError(RefoldError):
    """The store could not do what was asked."""


class StoreUnreachableError(StoreError):
    """The database did not answer in time. What was acknowledged is safe; what was not may or may not be stored."""

    code = "STORE_UNREACHABLE"


class StoreRefusedError(StoreError):
    """The database could lose data as it is set up, or holds a schema that this version does not know."""

    code = "STORE_REFUSED"


class GoldenStoreError(StoreError):
    """The folder of goldens cannot be read or written: full, read-only, not a folder. What was signed is whole."""

    code = "GOLDEN_STORE"


class OwnershipLostError(StoreError):
    """An append was refused: the stream's head is not the one we built on. The run in memory is void."""

    code = "OWNERSHIP_LOST"


class DataError(RefoldError):
    """Something about sensitive data."""


class DataErasedError(DataError):
    """Sensitive data that was erased, or whose key is not at hand."""

    code = "DATA_ERASED"


class DataKeyError(DataError, ValueError):
    """There is no key to encrypt sensitive data with, or the key file cannot be used; says what to do."""

    code = "DATA_KEY_MISSING"


class ProofError(RefoldError):
    """Evidence that something is not as it was recorded."""


class IntegrityError(ProofError):
    """Stored bytes are not what was written, or cannot follow from what came before."""

    code = "INTEGRITY_BROKEN"


class ReplayDivergenceError(ProofError):
    """Running the recorded workflow again gave another result than the log holds.

    `details` is the whole difference as JSON, as far as it applies: `event` (its number), `step_id`, `recorded`, `now`,
    their hashes, `differences` (a list of `pointer`, `recorded`, `now`), `place` in the code, `kind`, `cause`, `fix`.
    """

    code = "REPLAY_DIVERGED"

    def __init__(self, message: str, details: Mapping[str, Any] | None = None):
        super().__init__(message)
        self.details = dict(details or {})


class NondeterminismError(ReplayDivergenceError):
    """A workflow function, driven through a history, does not ask for what is recorded.

    `details` is the whole difference as JSON: `event` (its number), `path`, `recorded`, `requested`, `differences` (a
    list of `pointer`, `recorded`, `requested`), `place` in the code, `cause` and `fix`, as far as they apply.
    """

    code = "NONDETERMINISM"
