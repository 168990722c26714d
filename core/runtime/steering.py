"""What a run can be told while it goes on, and what it can be asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..canonical import Payload
from ..ids import check_run_id, check_tenant, stream_of
from ..results import WorkflowResult, result_of
from .answering import ANSWER_SECONDS, query
from .approvals import Approvals
from .history import History
from .host import Host
from .mailbox import Mailbox
from .relations import NO_BODY
from .services import Services
from .telling import signal_body, tell
from .tracing import Tracer


class Steering:
    """The part of an engine that steers runs, wherever they live: by messages."""

    def __init__(self, services: Services, history: History, host: Host):
        self._services = services
        self._history = history
        self._host = host
        self._mailbox = Mailbox(services, history)
        self.approvals = Approvals(services, history, host, self._mailbox)

    @property
    def tracer(self) -> Tracer | None:
        """Who is told of runs and steps, if anybody is."""
        return self._services.tracer

    async def signal(
        self, run_id: str, name: str, payload: Any = None, *, key: str | None = None, tenant: str = "default"
    ) -> WorkflowResult:
        """Send the signal `name` with a JSON `payload` to a run; a step that waits for it, now or later, outputs it.

        Signals of one name are used in the order they came, each once; `key` makes a repeated call the same signal.
        Raises RunNotFoundError, RunEndedError, CallError for what is no JSON.
        """
        body = signal_body(name, payload, self._services.limits)
        return await self._tell(run_id, tenant, "signal", "", key, name, body)

    async def cancel(
        self,
        run_id: str,
        reason: str = "",
        *,
        force: bool = False,
        key: str | None = None,
        tenant: str = "default",
    ) -> WorkflowResult:
        """Cancel a run: at once when no live process holds it, else as soon as its owner reads the message.

        A workflow function is told by CancelledError where it stands, and may clean up first; with `force` it is not
        asked. The result tells how the run stands. `key` makes a repeated call the same request. Raises
        RunNotFoundError, RunEndedError.
        """
        return await self._tell(run_id, tenant, "terminate" if force else "cancel", reason, key)

    async def pause(
        self, run_id: str, reason: str = "", *, key: str | None = None, tenant: str = "default"
    ) -> WorkflowResult:
        """Pause a run: running steps end and are recorded, nothing new starts until `resume`. See `cancel`."""
        return await self._tell(run_id, tenant, "pause", reason, key)

    async def unpause(self, run_id: str, *, key: str | None = None, tenant: str = "default") -> WorkflowResult:
        """Have a paused run go on in a worker; nothing is executed here. See `cancel`."""
        return await self._tell(run_id, tenant, "resume", "", key)

    async def query(
        self,
        run_id: str,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        tenant: str = "default",
        timeout_seconds: float = ANSWER_SECONDS,
    ) -> Any:
        """What the run's function answers to the query `name`, as its history stands; nothing is changed.

        Where the function is registered here it is driven through the history; else a worker that has it is asked, and
        `timeout_seconds` are waited for its answer. Raises RunNotFoundError, CallError, QueryUnansweredError.
        """
        stream = stream_of(check_tenant(tenant), check_run_id(run_id))
        return await query(self._services, self._history, stream, name, arguments or {}, timeout_seconds)

    async def _tell(
        self,
        run_id: str,
        tenant: str,
        kind: str,
        reason: str,
        key: str | None,
        name: str = "",
        body: Payload = NO_BODY,
    ) -> WorkflowResult:
        stream = stream_of(check_tenant(tenant), check_run_id(run_id))
        told = await tell(
            self._services, self._history, self._mailbox, self._host, stream, kind, reason, key, name, body
        )
        return result_of(told)
