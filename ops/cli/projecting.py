"""`refold projector` and `refold projections`."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING
from uuid import uuid4

from rich.box import SIMPLE_HEAD
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ...compose import database_url, open_store, tune_process
from ...core.errors import CallError, Problem, StoreUnreachableError
from ...core.ids import stream_of
from ...eventstore.owner import this_process
from ...eventstore.store import Store
from ...projections.golden_patrol import ROUND_SECONDS, GoldenPatrol
from ...projections.goldens import GoldensProjection
from ...projections.metrics import Count, MetricsProjection
from ...projections.model import Projection, TakenOver
from ...projections.projector import Projector, known_projections
from ...projections.rebuild import Progress as Done
from ...projections.rebuild import Rebuild, Rebuilt, drop_old
from ...projections.standings import Standing, check_name, missing, standings
from ..settings import GOLDEN_KEYS, golden_folder
from ..tracing import process_tracer
from .faults import FAILED, OK, Hidden
from .goldens import check_key_file, golden_place
from .helping import helpers_of
from .logs import log_to_stderr
from .measuring import bound_for, tell
from .output import console, duration, plain, write_json
from .reading import existing_store, missing_file
from .signals import run_until_drained
from .streams import note

if TYPE_CHECKING:
    from ..metrics.telling import Counting

_TELL_SECONDS = 5.0


def _check(name: str) -> str:
    return check_name(name, [*known_projections(), GoldensProjection.name])


def _check_any(name: str) -> str:
    """Raises CallError unless it is a projection's name, or that of the counts, which can be neither chosen nor built
    anew."""
    return check_name(name, [*known_projections(), GoldensProjection.name, MetricsProjection.name])


def _known(names: list[str], store: Store, folder: str | None, keys: str | None) -> list[Projection]:
    """The projections of these names, else all that can be kept here. Raises CallError for goldens without keys."""
    if GoldensProjection.name in names:
        check_key_file(keys)
    known = known_projections(golden_place(store, folder, keys))
    return [known[name] for name in names] or list(known.values())


def project(
    names: list[str],
    folder: str | None,
    keys: str | None,
    database: str | None,
    metrics: str | None = None,
    patrol_seconds: float = ROUND_SECONDS,
) -> int:
    """Keep projections up with the log until a signal asks for an end; returns the exit code."""
    for name in names:
        _check(name)
    counting = None
    if metrics is not None:
        from ..metrics.telling import Counting

        counting = Counting.begun()
    url = database_url(database)
    hide = Hidden([url])
    log_to_stderr(hide)
    tune_process()
    with (
        bound_for(metrics) as bound,
        closing(open_store(url)) as store,
        process_tracer() as tracer,
        ExitStack() as told,
    ):
        chosen = _known(names, store, folder, keys)
        if counting is not None:
            chosen.append(MetricsProjection(counting.counts))
        watch = None if counting is None else counting.watch
        projector = Projector(store, chosen, watch=watch, tracer=tracer)
        patrol = patrol_of(store, chosen, patrol_seconds, counting)
        me = f"projector {os.getpid()}"
        hello = f"{me} keeps {', '.join(each.name for each in chosen)} of {plain(hide(url))}"
        if not names and GoldensProjection.name not in [each.name for each in chosen]:
            hello += f"; goldens are not kept, for no key file is named by --keys or {GOLDEN_KEYS}"
        if patrol is not None:
            told.enter_context(patrol)
        if bound is not None:
            goldens = None if patrol is None else golden_folder(folder)
            hello += f"; metrics: {tell(told, bound, store, url, goldens=goldens, counting=counting, patrol=patrol)}"
        run_until_drained(projector.run, projector.drain, lambda: note(hello))
    note(f"{me} is drained: {projector.taken} events taken in")
    return OK


def patrol_of(
    store: Store, chosen: Sequence[Projection], seconds: float, counting: Counting | None
) -> GoldenPatrol | None:
    """The patrol over the goldens that are kept here; None where none are, or none is wanted (0 seconds)."""
    place = next((each.place for each in chosen if isinstance(each, GoldensProjection)), None)
    if place is None or not seconds:
        return None

    def found() -> None:
        if counting is not None:
            counting.counts.add([Count("workflow_golden_mismatches")])

    return GoldenPatrol(store, place, this_process(uuid4().hex), seconds, found)


def show_standings(name: str | None, database: str | None, json: bool, *, every: bool = False) -> int:
    """Write how projections stand, or `every` generation; returns the exit code: FAILED if one is stopped."""
    if name is not None:
        _check_any(name)
    with existing_store(database) as store:
        found = standings(store, name)
        known = known_projections(golden_place(store, None, None)).values()
        lacking = missing(store, [each for each in known if name in (None, each.name)])
    shown = found if every else [each for each in found if each.of.active]
    if json:
        for each in shown:
            write_json(each.to_json())
    elif shown:
        console().print(_table(shown))
    for each in shown:
        if each.of.error is not None:
            note(f"{each.of.name} stands still: {plain(each.of.error)}")
    if lacking:
        note(f"not built yet: {', '.join(lacking)}; start: refold projector")
    return FAILED if any(each.state == "stopped" for each in shown) else OK


def _table(shown: list[Standing]) -> Table:
    names = ("projection", "version", "generation", "state", "position", "behind", "parked")
    table = Table(*names, box=SIMPLE_HEAD, pad_edge=False)
    for each in shown:
        of, lag = each.of, each.lag
        behind = f"{lag.events} events, {duration(int(lag.seconds * 1_000_000))}" if lag.events else "–"
        read = " (read)" if of.active else ""
        cells = (str(of.version), f"{of.generation}{read}", each.state, str(of.position), behind, str(each.parked))
        table.add_row(plain(of.name), *cells)
    return table


def rebuild(
    name: str,
    shadow: bool,
    compare: bool,
    processes: int | None,
    folder: str | None,
    keys: str | None,
    database: str | None,
    json: bool,
) -> int:
    """Build a projection anew and put it in the place of the one that is read; returns the exit code."""
    _check(name)
    _check_there(database)
    tune_process()
    url = database_url(database)
    start = None if url.startswith("memory:") else helpers_of(url)
    count = processes or len(os.sched_getaffinity(0))
    with existing_store(database) as store, _Bar(name) as bar:
        (projection,) = _known([name], store, folder, keys)
        owner = this_process(uuid4().hex)
        work = Rebuild(store, projection, owner, watch=bar.show, start=start, processes=count)
        began = time.monotonic()
        done = work.run(compare=compare, shadow=shadow)
        seconds = time.monotonic() - began
    if json:
        files = None if done.files is None else done.files._asdict()
        write_json({**done._asdict(), "files": files, "seconds": round(seconds, 3)})
    else:
        console().print(_told(done, seconds), soft_wrap=True)
    return OK


def _told(done: Rebuilt, seconds: float) -> str:
    equal = ", equal to the one that is read" if done.compared else ""
    fate = "it is read now" if done.switched else "it is thrown away again"
    rate = f" ({done.events / seconds:,.0f} events/s)" if seconds > 1 else ""
    built = f"{done.name}: generation {done.generation}, of version {done.version}, built up to {done.position}"
    return f"{built} from {done.events} events{rate}{equal}; {fate if done.files is None else _files(done.files)}"


def _files(files: TakenOver) -> str:
    differing = f", differing {len(files.differing)}" if files.differing else ""
    counts = f"equal {files.equal}, in archives {files.archived}, missing {files.missing}{differing}"
    return f"{counts}; written {files.changed}"


class _Bar:
    """How far a rebuild is: a bar with rate and time left on a terminal, else a line now and then."""

    def __init__(self, name: str):
        self._name = name
        self._screen = console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self._screen,
            transient=True,
            disable=not self._screen.is_terminal,
        )
        self._task = self._bar.add_task(f"rebuilding {name}", total=None, rate="")
        self._began = self._told = time.monotonic()

    def __enter__(self) -> _Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, done: Done) -> None:
        """Told after each batch."""
        now = time.monotonic()
        rate = f"{done.events / max(now - self._began, 0.001):,.0f} events/s"
        self._bar.update(self._task, completed=done.position, total=done.of, rate=rate)
        if not self._screen.is_terminal and now - self._told > _TELL_SECONDS:
            self._told = now
            note(f"rebuilding {self._name}: {done.position} of {done.of}, {rate}")


def set_paused(name: str, paused: bool, database: str | None, json: bool) -> int:
    """Let a projection stand still, or go on; returns the exit code."""
    _check_any(name)
    _check_there(database)
    with existing_store(database) as store:
        if not store.tables.generations(name):
            raise CallError(Problem("", f"the projection {name} is not built yet", "start: refold projector"))
        store.tables.pause(name, paused)
    if json:
        write_json({"name": name, "paused": paused})
    else:
        console().print(f"{name} {'is paused' if paused else 'goes on'}")
    return OK


def drop_old_generations(name: str, database: str | None, json: bool) -> int:
    """Drop what a rebuild has replaced; returns the exit code."""
    _check(name)
    _check_there(database)
    with existing_store(database) as store:
        dropped = drop_old(store, name)
    if json:
        write_json({"name": name, "dropped": dropped})
    else:
        console().print(f"{name}: {', '.join(f'generation {each}' for each in dropped) or 'nothing'} dropped")
    return OK


def show_parked(name: str | None, database: str | None, json: bool) -> int:
    """Write the runs that projections have left aside; returns the exit code."""
    if name is not None:
        _check(name)
    with existing_store(database) as store:
        active = [each for each in store.tables.generations(name) if each.active]
        found = [(of.name, each) for of in active for each in store.tables.parked(of.name, of.generation)]
    if json:
        for whose, each in found:
            write_json({"projection": whose, **each._asdict()})
    elif found:
        table = Table("projection", "run", "event", "position", "reason", box=SIMPLE_HEAD, pad_edge=False)
        for whose, each in found:
            retried = " (to be tried again)" if each.retry else ""
            cells = (plain(each.stream), str(each.version), str(each.position), plain(each.reason) + retried)
            table.add_row(whose, *cells)
        console().print(table)
    else:
        note("no runs are parked")
    return OK


def retry_parked(name: str, run_id: str | None, tenant: str, database: str | None, json: bool) -> int:
    """Have runs that a projection has left aside tried again by its projector; returns the exit code."""
    _check(name)
    stream = None if run_id is None else stream_of(tenant, run_id)
    _check_there(database)
    with existing_store(database) as store:
        marked = store.tables.retry(name, stream)
    if stream is not None and not marked:
        fix = f"see: refold projections parked {name}"
        raise CallError(Problem("", f"{name} has not parked the run {run_id}", fix))
    if json:
        write_json({"name": name, "retried": marked})
    else:
        console().print(f"{name}: {marked} runs are tried again by its projector")
    return OK


def _check_there(database: str | None) -> None:
    if (absent := missing_file(database)) is not None:
        raise StoreUnreachableError(f"there is no database {absent}")
