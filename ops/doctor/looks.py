"""All looks, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Sequence

from . import control, database, disks, durability, environment, following, goldens, host, keys, log, versions, work
from .examining import STORE
from .patient import Look

SCHEMA = "schema"
"""The look that those stand on which read tables of ours."""

LOOKS: Sequence[Look] = (
    Look(STORE, database.reached),
    Look("server", versions.database, after=STORE),
    Look(SCHEMA, database.schema, after=STORE, cure=database.migrate),
    Look("clock", database.clock, after=SCHEMA),
    Look("durability", durability.settings, after=STORE),
    Look("sync", durability.latency, after=STORE),
    Look("chain", log.chain, after=SCHEMA),
    Look("disk", disks.disks),
    Look("folders", disks.folders, cure=disks.make_folders),
    Look("keys", keys.files, cure=keys.close),
    Look("golden-key", goldens.current_key, after=SCHEMA),
    Look("goldens", goldens.latest, after=SCHEMA),
    Look("projections", following.projections, after=SCHEMA),
    Look("parked", following.parked, after=SCHEMA, cure=following.retry),
    Look("leases", work.leases, after=SCHEMA, cure=work.free),
    Look("workers", work.workers, after=SCHEMA, cure=work.forget),
    Look("queues", work.queues, after=SCHEMA),
    Look("webhooks", following.webhooks, after=SCHEMA),
    Look("emergency", control.emergency, after=SCHEMA),
    Look("tree", control.tree, after=SCHEMA),
    Look("policy", environment.policy),
    Look("settings", environment.settings),
    Look("runtime", versions.runtime),
    Look("packages", versions.packages),
    Look("telemetry", versions.telemetry),
    Look("port", host.port),
    Look("open-files", host.open_files),
)
"""docs/ops/doctor.md says of each what, why and how; a test compares them."""
