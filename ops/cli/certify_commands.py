"""The words of `refold certify` and `refold tabletop`; importing this adds them to the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import Json
from .incident_commands import app

__all__ = ["app"]

certify = typer.Typer(
    no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
)
"""The suites."""

app.add_typer(certify, name="certify", help="Prove on this machine that Refold does what it says.")


@certify.command("determinism")
def certify_determinism(
    quick: Annotated[bool, typer.Option("--quick", help="A tenth of the seeds, a fifth of the replays.")] = False,
    json: Json = False,
) -> None:
    """Seeds on several processes, replays under stress, and injected faults (exit code 3: something differs)."""
    from .certifying import certify_determinism

    raise typer.Exit(certify_determinism(quick, json))


@certify.command("child", hidden=True)
def certify_child(words: list[str]) -> None:
    """What the processes of a suite do."""
    from .certify_children import be_child

    raise typer.Exit(be_child(words))


@app.command("tabletop")
def tabletop(
    prometheus: Annotated[
        str | None,
        typer.Option("--prometheus", metavar="URL", help="Asked whether an alert fires.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """Hold the exercise of docs/ops/tabletop.md: ten steps, on a store of its own with a real server.

    What is really kept is not touched. Without --prometheus the states are looked at that alerts stand on.

    Example: refold tabletop --prometheus http://127.0.0.1:9090

    Exit codes: 0 all passed (there may be warnings); 1 one has failed.
    """
    from .tabletop import tabletop

    raise typer.Exit(tabletop(prometheus, json))
