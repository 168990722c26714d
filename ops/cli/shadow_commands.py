"""The words of `refold shadow`; importing this adds them to the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .audit_commands import app
from .commands import Database, Json, Skills

__all__ = ["app"]

shadow = typer.Typer(
    no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
)
"""The commands on shadow simulations."""

app.add_typer(shadow, name="shadow", help="Run and prove workflows for hours, under faults.")


def _text(name: str, metavar: str, help_: str) -> typer.models.OptionInfo:
    return typer.Option(name, metavar=metavar, help=help_, show_default=False)


@shadow.command("run")
def shadow_run(
    hours: Annotated[float, typer.Option("--hours", metavar="H", min=0.001, max=8784, help="For how long.")] = 24.0,
    workers: Annotated[int, typer.Option("--workers", metavar="N", min=1, max=64, help="So many processes.")] = 3,
    interval: Annotated[
        float, typer.Option("--interval", metavar="S", min=0, max=3600, help="Seconds from cycle to cycle.")
    ] = 30.0,
    quick: Annotated[bool, typer.Option("--quick", help="3 cycles without a pause, instead of hours.")] = False,
    folder: Annotated[
        str, typer.Option("--folder", metavar="DIR", help="Where everything is kept. Choose one that is not cleaned.")
    ] = "refold-shadow",
    kinds: Annotated[str | None, _text("--kinds", "A,B", "Only workflows of these kinds.")] = None,
    spec: Annotated[list[str] | None, _text("--spec", "FILE", "A workflow of yours besides; repeatable.")] = None,
    skills: Skills = None,
    faults: Annotated[
        str | None, _text("--faults", "A,B", "Real ones, in each cycle: kills, stops, projector, locks.")
    ] = None,
    webhook: Annotated[str | None, _text("--webhook", "URL", "Told of mismatches by POST.")] = None,
    patience: Annotated[
        float, typer.Option("--patience", metavar="S", min=1, max=3600, help="Seconds that a cycle's runs may take.")
    ] = 120.0,
    database: Database = None,
    json: Json = False,
) -> None:
    """Run workflows of every kind on real workers, and prove each (exit code 3: there are mismatches).

    Killed or stopped, it goes on where it was when it is called again with the same folder.
    """
    from .shadowing import Words, run_shadow

    words = Words(hours, workers, interval, quick, folder, kinds, spec or [], skills or [], faults, webhook, patience)
    raise typer.Exit(run_shadow(words, database, json))


@shadow.command("child", hidden=True)
def shadow_child(
    role: str,
    goldens: Annotated[str, typer.Option("--goldens")] = "",
    keys: Annotated[str, typer.Option("--keys")] = "",
    skills: Skills = None,
    database: Database = None,
) -> None:
    """What the processes of a simulation do; they end when stdin does."""
    from .shadow_children import be_child

    raise typer.Exit(be_child(role, goldens, keys, skills or [], database))
