"""The words of `refold shadow status`, `sanity`, `cron-check` and `debug`; importing this adds them to the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import Database, Json, Skills
from .shadow_commands import app, shadow

__all__ = ["app", "shadow"]

debug = typer.Typer(
    no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
)
"""The views of a simulation."""

shadow.add_typer(debug, name="debug", help="Look closely at a simulation: its records, cycles, goldens, processes.")

Place = Annotated[str, typer.Option("--folder", metavar="DIR", help="The folder of the simulation.")]
Stale = Annotated[
    float, typer.Option("--stale", metavar="S", min=1, max=1e7, help="Seconds after which a log without news is old.")
]
Lines = Annotated[int, typer.Option("--lines", metavar="N", min=1, max=200, help="The latest so many.")]
FOLDER = "refold-shadow"
"""The folder that simulations have if nobody says otherwise."""


@shadow.command("status")
def shadow_status(folder: Place = FOLDER, json: Json = False) -> None:
    """Say what the folder of a simulation holds: its state, cycles, mismatches, process, the age of its latest record.

    Example: refold shadow status --folder /var/lib/refold/shadow

    States: running; ended (it did what it set out to do); stopped (by a signal; the next run goes on); dead; empty.

    Exit codes: 0 it is told, whatever it is; 2 there is no such folder.
    """
    from .shadow_looking import status

    raise typer.Exit(status(folder, json))


@shadow.command("sanity")
def shadow_sanity(folder: Place = FOLDER, stale: Stale = 600.0, json: Json = False) -> None:
    """Put a simulation to five checks: process, mismatches, disk, recent activity, metrics.

    Each is told with its figure, its limit and what to do. Metrics are what others are told, summary.json and the
    monitor's /metrics: they must be what the records come to.

    Example: refold shadow sanity --folder /var/lib/refold/shadow

    Exit codes: 0 none has failed (there may be warnings); 1 one has.
    """
    from .shadow_looking import sane

    raise typer.Exit(sane(folder, stale, json))


@shadow.command("cron-check")
def shadow_cron_check(
    folder: Place = FOLDER,
    stale: Stale = 600.0,
    limit: Annotated[
        float, typer.Option("--limit", metavar="S", min=1, max=600, help="How long the look may take.")
    ] = 60.0,
    syslog: Annotated[str, typer.Option("--syslog", metavar="SOCKET", help="Where syslog listens.")] = "/dev/log",
    json: Json = False,
) -> None:
    """Say nothing if a simulation is well; else write one line to syslog (priority err, ident refold).

    It asks no database, and ends within the limit even where the folder's disk does not answer. Where there is no
    syslog the line goes to stderr, which cron sends by mail.

    Example, for crontab: */15 * * * * refold shadow cron-check --folder /var/lib/refold/shadow

    Exit codes: 0 it is well; 1 it is not (a warning too), or could not be looked at.
    """
    from .shadow_cron import cron_check

    raise typer.Exit(cron_check(folder, stale, limit, syslog, json))


@debug.command("full")
def debug_full(folder: Place = FOLDER, lines: Lines = 20, json: Json = False) -> None:
    """All views together, and what the checks say. With --json each line names its view.

    Example: refold shadow debug full --json > shadow.ndjson

    Exit codes: 0 it is told; 2 there is no such folder; 4 a golden does not verify.
    """
    from .shadow_debugging import show

    raise typer.Exit(show(folder, ("checks", "process", "cycles", "mismatches", "golden", "tail"), lines, json))


@debug.command("tail")
def debug_tail(folder: Place = FOLDER, lines: Lines = 20, json: Json = False) -> None:
    """The latest records; with --json as they are stored.

    Example: refold shadow debug tail --lines 5

    Exit codes: 0 it is told; 2 there is no such folder.
    """
    from .shadow_debugging import show

    raise typer.Exit(show(folder, ("tail",), lines, json))


@debug.command("cycles")
def debug_cycles(folder: Place = FOLDER, lines: Lines = 20, json: Json = False) -> None:
    """The latest cycles: how long each took, what was proved, which faults were injected, what ended by itself.

    Example: refold shadow debug cycles --lines 100

    Exit codes: 0 it is told; 2 there is no such folder.
    """
    from .shadow_debugging import show

    raise typer.Exit(show(folder, ("cycles",), lines, json))


@debug.command("mismatches")
def debug_mismatches(folder: Place = FOLDER, lines: Lines = 20, json: Json = False) -> None:
    """The latest mismatches: each with its run, its check and the first divergence.

    Example: refold shadow debug mismatches; then: refold shadow debug replay 17/chain

    Exit codes: 0 it is told; 2 there is no such folder.
    """
    from .shadow_debugging import show

    raise typer.Exit(show(folder, ("mismatches",), lines, json))


@debug.command("golden")
def debug_golden(folder: Place = FOLDER, json: Json = False) -> None:
    """The goldens of the folder by cycle, and whether they verify by their structure and signatures.

    Example: refold shadow debug golden --json

    Exit codes: 0 all verify; 2 there is no such folder; 4 one does not.
    """
    from .shadow_debugging import show

    raise typer.Exit(show(folder, ("golden",), 0, json))


@debug.command("process")
def debug_process(folder: Place = FOLDER, json: Json = False) -> None:
    """The processes of a simulation on this host: memory, how long they have been up, open files, locks.

    Example: refold shadow debug process

    Exit codes: 0 it is told; 2 there is no such folder.
    """
    from .shadow_debugging import show

    raise typer.Exit(show(folder, ("process",), 0, json))


@debug.command("replay")
def debug_replay(
    run: Annotated[
        str, typer.Argument(metavar="ID", help="CYCLE/RUN as 17/chain, TENANT/RUN, or a run's id.", show_default=False)
    ],
    folder: Place = FOLDER,
    skills: Skills = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Prove a run of the simulation again, and show the first divergence.

    An id alone means the run of that name in the latest cycle that has a mismatch of it, else in the latest cycle. A
    simulation with --database or --skills needs them here too.

    Example: refold shadow debug replay 17/chain

    Exit codes: 0 equal; 2 no such run or folder, or its code is not here; 3 it diverges; 4 stored bytes were altered.
    """
    from .shadow_debugging import replay_again

    raise typer.Exit(replay_again(folder, run, skills or [], database, json))
