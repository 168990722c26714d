"""`refold webhooks add`, `list`, `show`, `change`, `remove`, `enable`, `disable` and `rotate`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ...compose import WorkflowEngine, open_store
from ...core.addresses import Allowed
from ...core.durations import seconds_of
from ...core.errors import CallError, Problem
from ...core.ids import webhooks_of
from ...core.runtime.admission import MAX_LABEL, check_text
from ...core.runtime.webhook_control import WebhookControl
from ...core.webhook_log import Endpoint, WebhookLog
from ...core.webhook_signing import secret_text
from ...eventstore.log import EventLog
from ...eventstore.secret_file import alone
from ...eventstore.store import Store
from ...projections.webhook_keys import WebhookKeys, new_key
from ...projections.webhook_view import counted, endpoint_json
from ..settings import WEBHOOK_KEYS, store_patience, webhook_allowed, webhook_authorities, webhook_key_file
from ..webhooks.post import Poster, tls_context
from .faults import OK
from .output import console, plain, write_json
from .reading import existing_store
from .signals import run_until_stopped
from .specs import login
from .streams import note

T = TypeVar("T")

_RESOLVING_SECONDS = 5.0


@dataclass(frozen=True)
class Place:
    """What commands are given that change something or send something."""

    keys: str | None
    allow: Sequence[str]
    allow_http: bool
    by: str | None
    tenant: str
    database: str | None
    json: bool

    @property
    def who(self) -> str:
        """Who does it. Raises CallError for what is no name."""
        return login() if self.by is None else check_text("--by", self.by, MAX_LABEL)

    def allowed(self) -> Allowed:
        """What may be reached. Raises CallError."""
        return webhook_allowed(self.allow, self.allow_http)

    def poster(self) -> Poster:
        """What sends. Raises CallError."""
        return Poster(self.allowed(), tls=tls_context(webhook_authorities()))

    def decide(self, work: Callable[[WebhookControl], Coroutine[Any, Any, T]]) -> T:
        """Let `work` record a decision. Raises what it raises, and StoreError."""
        with closing(open_store(self.database)) as store:

            async def decided() -> T:
                async with WorkflowEngine(store, patience=store_patience()) as engine:
                    return await work(engine.webhooks)

            return run_until_stopped(decided)


def check_webhook_keys(given: str | None) -> Path:
    """The file of the secrets. Raises CallError when none is named."""
    path = webhook_key_file(given)
    if path is None:
        fix = f"name it by --keys or {WEBHOOK_KEYS}; refold webhooks add makes one"
        raise CallError(Problem("", "no key file is named", fix))
    return path


def endpoints_of(store: Store, tenant: str) -> dict[str, Endpoint]:
    """The tenant's endpoints by id, as the log says. Raises CallError, IntegrityError, StoreError."""
    return WebhookLog(tenant, EventLog(store, "").events(webhooks_of(tenant))).endpoints


def endpoint_of(store: Store, endpoint_id: str, tenant: str) -> Endpoint:
    """One of them. Raises CallError if there is no such one."""
    found = endpoints_of(store, tenant).get(endpoint_id)
    if found is None:
        raise CallError(Problem("", f"there is no endpoint {endpoint_id[:60]!a}", "see: refold webhooks list"))
    return found


def add_endpoint(place: Place, url: str, patterns: Sequence[str], description: str) -> int:
    """Subscribe an endpoint and show its secret; returns the exit code."""
    path, who = check_webhook_keys(place.keys), place.who
    _check_address(place, url)
    key_id, secret = new_key()
    with alone(path):
        before = WebhookKeys.load(path) if path.exists() else WebhookKeys({})
        # Saved first: a key that the log names must be there for whoever sends.
        before.having(key_id, secret).save(path)
        try:
            made = place.decide(
                lambda control: control.subscribe(
                    url,
                    patterns,
                    key_id,
                    tenant=place.tenant,
                    description=description,
                    by=who,
                    allowed=place.allowed(),
                )
            )
        except BaseException:
            before.save(path)
            raise
    _show_secret(place, made, secret)
    return OK


def rotate_secret(place: Place, endpoint_id: str, overlap: str) -> int:
    """Give an endpoint a new secret and show it; returns the exit code."""
    path, who, seconds = check_webhook_keys(place.keys), place.who, seconds_of(overlap)
    key_id, secret = new_key()
    with alone(path):
        keys = WebhookKeys.load(path)
        before = place.decide(lambda control: control.get(endpoint_id, tenant=place.tenant))
        keys.having(key_id, secret).save(path)
        made = place.decide(
            lambda control: control.rotate(endpoint_id, key_id, tenant=place.tenant, overlap_seconds=seconds, by=who)
        )
        if before.replaced is not None:
            keys.having(key_id, secret).without([before.replaced]).save(path)
    _show_secret(place, made, secret)
    return OK


def _show_secret(place: Place, made: Endpoint, secret: bytes) -> None:
    if place.json:
        write_json({**endpoint_json(made), "secret": secret_text(secret)})
        return
    console().print(f"{made.endpoint_id}  {', '.join(made.patterns)}  {plain(made.url)}", soft_wrap=True)
    console().print(f"secret: {secret_text(secret)}", soft_wrap=True)
    note("the secret is shown this once; whoever receives the messages verifies them by it")


def _check_address(place: Place, url: str) -> None:
    """Raises AddressRefusedError; a host that is not known just now may be known later."""
    poster = place.poster()

    async def check() -> None:
        try:
            async with asyncio.timeout(_RESOLVING_SECONDS):
                await poster.check(url)
        except OSError:  # TimeoutError is one
            note("note: the host of the URL is not known just now")

    run_until_stopped(check)


def change_endpoint(
    place: Place, endpoint_id: str, url: str | None, patterns: Sequence[str] | None, description: str | None
) -> int:
    """Change an endpoint; returns the exit code."""
    who = place.who
    if url is not None:
        _check_address(place, url)
    made = place.decide(
        lambda control: control.change(
            endpoint_id,
            tenant=place.tenant,
            url=url,
            patterns=patterns or None,
            description=description,
            by=who,
            allowed=place.allowed(),
        )
    )
    _show_one(made, {}, place.json)
    return OK


def remove_endpoint(place: Place, endpoint_id: str) -> int:
    """Remove an endpoint, and its secrets where a key file is named; returns the exit code."""
    who, path = place.who, webhook_key_file(place.keys)
    gone = place.decide(lambda control: control.remove(endpoint_id, tenant=place.tenant, by=who))
    if path is not None:
        with alone(path):
            names = [gone.key_id, *([] if gone.replaced is None else [gone.replaced])]
            WebhookKeys.load(path).without(names).save(path)
    if place.json:
        write_json({"endpoint_id": endpoint_id, "removed": True})
    else:
        console().print(f"{endpoint_id} is removed", soft_wrap=True)
    return OK


def set_enabled(place: Place, endpoint_id: str, enabled: bool, reason: str) -> int:
    """Enable or disable an endpoint; returns the exit code."""
    who = place.who
    made = place.decide(
        lambda control: (
            control.enable(endpoint_id, tenant=place.tenant, by=who)
            if enabled
            else control.disable(endpoint_id, reason, tenant=place.tenant, by=who)
        )
    )
    _show_one(made, {}, place.json)
    return OK


def list_endpoints(tenant: str, database: str | None, json: bool) -> int:
    """Write the endpoints; returns the exit code."""
    with existing_store(database) as store:
        found, counts = endpoints_of(store, tenant), store.outbox.counts(tenant)
    if json:
        for each in found.values():
            write_json(endpoint_json(each) | counted(counts, each))
    elif found:
        table = Table("endpoint", "events", "url", "state", "waiting", "dead", box=SIMPLE_HEAD, pad_edge=False)
        for each in found.values():
            waiting, dead = (str(counts.get((each.endpoint_id, status), 0)) for status in ("waiting", "dead"))
            state = "enabled" if each.enabled else f"disabled: {plain(each.why)}"
            table.add_row(each.endpoint_id, ", ".join(each.patterns), plain(each.url), state, waiting, dead)
        console().print(table)
    else:
        note("no webhooks")
    return OK


def show_endpoint(endpoint_id: str, tenant: str, database: str | None, json: bool) -> int:
    """Write an endpoint; returns the exit code."""
    with existing_store(database) as store:
        endpoint = endpoint_of(store, endpoint_id, tenant)
        counts = store.outbox.counts(tenant)
    _show_one(endpoint, counted(counts, endpoint), json)
    return OK


def _show_one(endpoint: Endpoint, counts: dict[str, int], json: bool) -> None:
    if json:
        write_json(endpoint_json(endpoint) | counts)
        return
    for name, value in (endpoint_json(endpoint) | counts).items():
        text = ", ".join(endpoint.patterns) if name == "patterns" else "–" if value in (None, "") else str(value)
        console().print(f"{name:<12}  {plain(text)}", soft_wrap=True)
