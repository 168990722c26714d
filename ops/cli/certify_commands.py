"""The words of `refold certify` and `refold tabletop`; importing this adds them to the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import Database, Json
from .incident_commands import app

__all__ = ["app"]

certify = typer.Typer(
    invoke_without_command=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
)
"""The suites; without one of them, the certification of this installation."""

app.add_typer(certify, name="certify", help="Certify this installation, or prove that Refold does what it says.")

_Key = Annotated[
    str | None,
    typer.Option("--key", metavar="FILE", help="Sign by this private key; else REFOLD_AUDIT_KEY.", show_default=False),
]


@certify.callback()
def certify_installation(
    context: typer.Context,
    out: Annotated[
        str | None,
        typer.Option(
            "--out", metavar="DIR", help="For the report; else refold-certification/TIME.", show_default=False
        ),
    ] = None,
    key: _Key = None,
    prometheus: Annotated[
        str | None,
        typer.Option("--prometheus", metavar="URL", help="Asked whether an alert fires.", show_default=False),
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="WHO", help="Who does it; else your login name.", show_default=False)
    ] = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Check the twenty items of docs/ops/certification.md, and write a signed report of them.

    The installation itself is only looked at; what is tried is tried on a store of its own, in a minute or two.

    Example: refold certify --key audit.pem --out certification

    Exit codes: 0 certified (there may be warnings); 1 an item has failed.
    """
    if context.invoked_subcommand is None:
        from .installation import Wanted, certify_installation

        raise typer.Exit(certify_installation(Wanted(out, key, prometheus, by, database, json)))


@certify.command("verify")
def certify_verify(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="The folder of the report.", show_default=False)],
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="FILE", help="The public key that signed it.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """Say whether a certification's report, and all that is kept with it, is as it was written (exit code 4: no)."""
    from .installation import verify_certification

    raise typer.Exit(verify_certification(folder, key, json))


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
