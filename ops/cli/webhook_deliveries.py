"""`refold webhooks test`, `deliveries`, `dead`, `replay` and `deliver`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from uuid import uuid4

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ...compose import WorkflowEngine, database_url, open_store
from ...core.errors import AddressRefusedError, CallError, Problem, StoreUnreachableError
from ...core.ids import check_tenant
from ...core.runtime.clock import SystemClock
from ...eventstore.outbox import Lookup, Status
from ...eventstore.store import Store
from ...projections.webhook_body import ping
from ...projections.webhook_keys import WebhookKeys
from ...projections.webhook_view import delivery_json
from ..settings import store_patience, webhook_allowed, webhook_authorities
from ..webhooks.post import Message, Poster, Sent, tls_context
from ..webhooks.sender import WebhookSender
from .faults import FAILED, OK, REFUSED, Hidden
from .logs import log_to_stderr
from .output import clock, console, plain, write_json
from .reading import existing_store, missing_file
from .signals import run_until_drained, run_until_stopped
from .streams import note
from .webhooks import Place, check_webhook_keys, endpoint_of


def send_ping(place: Place, endpoint_id: str) -> int:
    """Send an endpoint a message that tells of nothing; returns the exit code."""
    keys = WebhookKeys.load(check_webhook_keys(place.keys))
    with existing_store(place.database) as store:
        endpoint = endpoint_of(store, endpoint_id, place.tenant)
    now = time.time_ns() // 1000
    secrets = [secret for key_id in endpoint.key_ids(now) if (secret := keys.secret(key_id)) is not None]
    if not secrets:
        raise CallError(Problem("", f"the key file does not hold {endpoint.key_id}", "use the file of webhooks add"))
    message = Message(f"msg_{uuid4().hex}", ping(endpoint_id, place.tenant, now), secrets)
    poster = place.poster()
    sent = run_until_stopped(lambda: poster.send(endpoint.url, message, now))
    if place.json:
        about = {"endpoint_id": endpoint_id, "message_id": message.message_id, "taken": sent.taken, "code": sent.code}
        write_json({**about, "failure": sent.failure or None, "error": sent.error or None})
    else:
        console().print(f"taken: HTTP {sent.code}" if sent.taken else f"not taken: {plain(_why(sent))}", soft_wrap=True)
    return OK if sent.taken else REFUSED if sent.failure == AddressRefusedError.code else FAILED


def _why(sent: Sent) -> str:
    return f"[{sent.failure}] {sent.error}"


def list_deliveries(
    endpoint_id: str | None,
    failed: bool,
    status: Status | None,
    limit: int,
    tenant: str,
    database: str | None,
    json: bool,
) -> int:
    """Write deliveries; returns the exit code."""
    check_tenant(tenant)
    with existing_store(database) as store:
        found = store.outbox.deliveries(Lookup(tenant, endpoint_id, None, status, failed), limit)
    if json:
        for each in found:
            write_json(delivery_json(each))
    elif found:
        table = Table("message", "event", "of", "endpoint", "status", "tries", box=SIMPLE_HEAD, pad_edge=False)
        for name in ("last", "next", "error"):
            table.add_column(name, overflow="fold")
        for each in found:
            last = "–" if each.tried_at is None else clock(each.tried_at)
            due = clock(each.due) if each.status == "waiting" else "–"
            cells = (each.message_id, each.topic, plain(each.stream), each.endpoint_id, each.status, str(each.attempts))
            table.add_row(*cells, last, due, plain(each.error) or "–")
        console().print(table)
    else:
        note("no messages")
    return OK


def replay_failed(
    message_id: str | None, all_: bool, endpoint_id: str | None, tenant: str, database: str | None, json: bool
) -> int:
    """Let dead messages, and those that wait after an attempt that failed, be sent now; returns the exit code."""
    check_tenant(tenant)
    if (message_id is None) is not all_:
        raise CallError(Problem("", "a message is named and --all is given, or neither", "name one, or give --all"))
    if (absent := missing_file(database)) is not None:
        raise StoreUnreachableError(f"there is no database {absent}")
    with existing_store(database) as store:
        of = Lookup(tenant, endpoint_id, message_id)
        count = store.outbox.replay(of, time.time_ns() // 1000)
    if message_id is not None and not count:
        raise CallError(Problem("", f"no message {message_id[:60]!a} is dead or failing", "see: refold webhooks dead"))
    if json:
        write_json({"replayed": count})
    else:
        console().print(f"replayed: {count}", soft_wrap=True)
    return OK


def prepared(
    keys: str | None, allow: Sequence[str] = (), allow_http: bool = False
) -> Callable[[Store, WorkflowEngine], WebhookSender]:
    """What makes a sender. Raises CallError where no key file is named, or one that cannot be used."""
    path = check_webhook_keys(keys)
    if path.exists():
        WebhookKeys.load(path)
    poster = Poster(webhook_allowed(allow, allow_http), tls=tls_context(webhook_authorities()))

    def made(store: Store, engine: WorkflowEngine) -> WebhookSender:
        return WebhookSender(
            store, engine.webhooks, lambda: WebhookKeys.load(path), poster, SystemClock(), engine.tracer
        )

    return made


def deliver_until_drained(keys: str | None, allow: Sequence[str], allow_http: bool, database: str | None) -> int:
    """Send messages until a signal asks for an end; returns the exit code."""
    patience, make = store_patience(), prepared(keys, allow, allow_http)
    url = database_url(database)
    hide = Hidden([url])
    log_to_stderr(hide)
    with closing(open_store(url)) as store:
        engine = WorkflowEngine(store, patience=patience)
        sender = make(store, engine)
        me = f"webhooks {os.getpid()}"

        async def work() -> None:
            async with engine:
                await sender.run()

        run_until_drained(work, sender.drain, lambda: note(f"{me} sends what {plain(hide(url))} holds"))
    note(f"{me} is drained: {sender.delivered} messages were taken")
    return OK
