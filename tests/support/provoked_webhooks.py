"""What goes wrong with webhooks, at real receivers, by the code that the delivery must carry."""

from __future__ import annotations

import socket
from typing import NamedTuple

from refold.core.addresses import Allowed
from refold.core.runtime.clock import SystemClock
from refold.core.webhook_log import Endpoint
from refold.eventstore.outbox import Lookup, Status
from refold.ops.certify_faults import Bench
from refold.ops.webhooks.post import Poster
from refold.ops.webhooks.sender import WebhookSender
from refold.projections.webhook_keys import WebhookKeys, new_key

from .provoked_runs import Provoke, code_of
from .sink import sink
from .workflows import step

HERE = Allowed.parse(["127.0.0.1"], http=True)


class Told(NamedTuple):
    """What became of a delivery: its code, whether it is tried again, and the endpoint afterwards."""

    code: str
    status: Status
    endpoint: Endpoint


async def told(bench: Bench, url: str, *, poster: Poster | None = None, keyed: bool = True) -> Told:
    """Have the bench's run told to `url`, by a sender that has the key or not."""
    key_id, secret = new_key()
    await bench.engine.webhooks.subscribe(url, ["run.started"], key_id, allowed=HERE)
    await bench.run(step("a"))
    keys = WebhookKeys({key_id: secret} if keyed else {})
    await WebhookSender(bench.store, bench.engine.webhooks, lambda: keys, poster or Poster(HERE), SystemClock()).once()
    (delivery,) = bench.store.outbox.deliveries(Lookup("default"), 10)
    (endpoint,) = await bench.engine.webhooks.list()
    code, _, why = delivery.error.partition(": ")
    assert why, "a code alone helps nobody"
    return Told(code, delivery.status, endpoint)


async def inside(bench: Bench) -> str | None:
    """An address that was allowed where it was subscribed is not where it is sent to; nor anew."""
    with sink() as receiver:
        found = await told(bench, receiver.url(), poster=Poster(Allowed()))
        assert await code_of(bench.engine.webhooks.subscribe(receiver.url(), ["run.*"], "key")) == found.code
        assert receiver.taken == [] and found.status == "waiting"
    return found.code


async def nobody_there(bench: Bench) -> str | None:
    """Nobody listens at the address."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        found = await told(bench, f"http://127.0.0.1:{bound.getsockname()[1]}/")
    assert found.status == "waiting"
    return found.code


async def silent(bench: Bench) -> str | None:
    """The receiver takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        found = await told(bench, url, poster=Poster(HERE, whole_seconds=0.3))
    assert found.status == "waiting"
    return found.code


async def _answered(bench: Bench, status: int) -> Told:
    with sink() as receiver:
        receiver.answer(status)
        found = await told(bench, receiver.url())
        assert len(receiver.taken) == 1
    return found


async def not_taken(bench: Bench) -> str | None:
    """The receiver answers that it has no room."""
    found = await _answered(bench, 507)
    assert found.status == "waiting" and found.endpoint.enabled
    return found.code


async def gone(bench: Bench) -> str | None:
    """The receiver wants no more, and gets no more."""
    found = await _answered(bench, 410)
    assert found.status == "dead" and not found.endpoint.enabled
    return found.code


async def no_key(bench: Bench) -> str | None:
    """The sender has not got the key, so nothing is sent."""
    with sink() as receiver:
        found = await told(bench, receiver.url(), keyed=False)
        assert receiver.taken == [] and found.status == "waiting"
    return found.code


WEBHOOKS: dict[str, Provoke] = {
    "WEBHOOK_ADDRESS_REFUSED": inside,
    "WEBHOOK_UNREACHABLE": nobody_there,
    "WEBHOOK_TIMEOUT": silent,
    "WEBHOOK_NOT_TAKEN": not_taken,
    "WEBHOOK_GONE": gone,
    "WEBHOOK_KEY_MISSING": no_key,
}
"""By the code that must be told."""
