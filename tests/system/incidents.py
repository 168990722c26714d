"""The incidents of the game: how each comes about, what names its cause, what the cure needs to know."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from refold.tests.browser.processes import eventually
from refold.tests.system.incident_site import OPTIONS, UNITS, Site

Names = dict[str, str]
"""The variables of the runbook's commands."""


@dataclass(frozen=True)
class Incident:
    """`cause` brings it about and may return what is known of it; `look` runs commands until one names the cause, and
    returns what the cure needs; `block` is which commands of the runbook's cure are meant; `over` says whether nothing
    of it is left but what the alert knows."""

    name: str
    alert: str
    cause: Callable[[Site], Names]
    named_by: str
    look: Callable[[Site, Names], Names]
    labels: Names = field(default_factory=dict[str, str])
    block: int = 0
    over: Callable[[Site, Names], None] = lambda site, names: None


def _found(lines: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """What a check says that must not be well."""
    found = next(line for line in lines if line.get("name") == name)
    assert found["state"] != "ok" and found["fix"], f"it does not name the cause: {lines}"
    return found


def _alter_golden(site: Site) -> Names:
    file = site.golden(site.works())
    file.write_text(file.read_text().replace("gold run", "lead run"))
    return {}


def _altered_golden(site: Site, known: Names) -> Names:
    _found(site.said("doctor", "--port", "0", code=1), "goldens")
    said = site.said("golden", "verify", "--all", code=4)
    (bad,) = [line for line in said if line.get("faults")]
    return {"RUN": bad["run_id"]}


def _alter_event(site: Site) -> Names:
    """A byte of an event, altered past Refold; the backup is of just before."""
    run_id = site.works()
    backup = site.backup()
    connection = sqlite3.connect(site.store, isolation_level=None)
    sql = """UPDATE stored_events SET state = CAST(replace(CAST(state AS TEXT), 'gold run', 'lead run') AS BLOB)
             WHERE originator_id = ?"""
    assert connection.execute(sql, (f"default/{run_id}",)).rowcount
    connection.close()
    return {"RUN": run_id, "BACKUP": str(backup)}


def _altered_event(site: Site, known: Names) -> Names:
    said = site.said("verify", "--all", code=4)
    assert known["RUN"] in str(said), f"verify does not name the run: {said}"
    site.service.run("golden", "write", known["RUN"], code=4)
    evidence = site.service.folder / f"evidence-{known['RUN']}"
    return {**known, "STORE": str(site.store), "EVIDENCE": str(evidence), "UNITS": " ".join(UNITS)}


def _kill_shadow(site: Site) -> Names:
    os.kill(site.shadow_pid(), signal.SIGKILL)
    return {}


def _dead_shadow(site: Site, known: Names) -> Names:
    _found(_sane(site, 1), "process")
    return _shadow_again(site)


def _stop_shadow(site: Site) -> Names:
    os.kill(site.shadow_pid(), signal.SIGSTOP)
    return {}


def _silent_shadow(site: Site, known: Names) -> Names:
    _found(_sane(site, 0), "activity")
    (status,) = site.said("shadow", "status", "--folder", str(site.shadow))
    return {"PID": str(status["pid"]), **_shadow_again(site)}


def _sane(site: Site, code: int) -> list[dict[str, Any]]:
    return site.said("shadow", "sanity", "--folder", str(site.shadow), "--stale", "10", code=code)


def _shadow_again(site: Site) -> Names:
    (status,) = site.said("shadow", "status", "--folder", str(site.shadow))
    assert set(OPTIONS) <= {*status["options"]}, "it knows how it was called"
    return {"FOLDER": str(site.shadow), "OPTIONS": " ".join(status["options"])}


def _shadow_goes_on(site: Site, known: Names) -> None:
    size = (site.shadow / "records.jsonl").stat().st_size
    eventually(lambda: (site.shadow / "records.jsonl").stat().st_size > size, "the simulation goes on")


def _fill_disk(site: Site) -> Names:
    """To the last byte, until a process has met with it: nothing can be appended, and no golden written."""
    filler, said = site.disk / "debug.log.1", len(site.service.errors())
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(2**20))
        except OSError as error:
            assert error.errno == errno.ENOSPC
    eventually(lambda: "disk is full" in site.service.errors()[said:], "somebody cannot write")
    return {"FILE": str(filler)}


def _full_disk(site: Site, known: Names) -> Names:
    found = _found(site.said("doctor", "--port", "0", code=1), "disk:store")
    assert str(site.disk) in found["detail"]
    return {**known, "FOLDER": str(site.disk)}


def _refuse_webhooks(site: Site) -> Names:
    site.receiver.answer(503)
    site.begin_run(f"refused-{len(site.receiver.taken)}")
    return {}


def _refused_webhooks(site: Site, known: Names) -> Names:
    _found(site.said("doctor", "--port", "0"), "webhooks")
    (endpoint,) = site.said("webhooks", "list")
    site.receiver.answer(204)
    return {"ENDPOINT": endpoint["endpoint_id"]}


INCIDENTS = (
    Incident("a golden is altered", "GoldenMismatch", _alter_golden, "golden verify, doctor", _altered_golden),
    Incident("an event is altered", "GoldenMismatch", _alter_event, "verify", _altered_event, block=1),
    Incident("the shadow process is dead", "ShadowDead", _kill_shadow, "shadow sanity", _dead_shadow,
             over=_shadow_goes_on),
    Incident("the disk is full", "DiskFull", _fill_disk, "doctor", _full_disk, {"folder": "store"}),
    Incident("the shadow's log is stale", "LogStale", _stop_shadow, "shadow sanity", _silent_shadow,
             over=_shadow_goes_on),
    Incident("webhooks are refused", "WebhookFailures", _refuse_webhooks, "doctor", _refused_webhooks),
)  # fmt: skip
"""P0 (two ways), P1, P1, P2, P3."""
