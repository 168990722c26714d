"""The words of `refold audit`; importing this adds them to the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import Database, Json, RunId, Tenant
from .history_commands import app

__all__ = ["app"]

audit = typer.Typer(
    no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
)
"""The commands on the tree over the log and on audit bundles."""

app.add_typer(audit, name="audit", help="A Merkle tree over the log, and bundles that are proved offline.")


def _option(name: str, metavar: str, help: str) -> typer.models.OptionInfo:
    return typer.Option(name, metavar=metavar, help=help, show_default=False)


_Tree = Annotated[str | None, _option("--tree", "FOLDER", "The tree's files; else REFOLD_AUDIT, else audit.")]
_Private = Annotated[str | None, _option("--key", "FILE", "The log's private key; else REFOLD_AUDIT_KEY.")]
_Public = Annotated[str | None, _option("--key", "KEY", "The log's public key: a file, or NAME+ID+BASE64.")]
_Witnesses = Annotated[
    list[str] | None, _option("--witness", "KEY", "The public key of a witness that must have signed; repeatable.")
]
_Head = Annotated[str | None, _option("--head", "PLACE", "A file, folder or URL; else the tree's own latest head.")]
_Out = Annotated[str | None, _option("-o", "FILE", "Where to write it.")]
_Proof = Annotated[str | None, _option("--proof", "FILE", "A consistency proof, by refold audit consistency.")]


@audit.command("keygen")
def keygen(
    name: Annotated[str, _option("--name", "ORIGIN", "The name of the log or the witness, such as example.com/log.")],
    out: Annotated[str, _option("-o", "FILE", "The private key; beside it .pub.pem and .vkey are written.")],
    witness: Annotated[bool, typer.Option("--witness", help="The .vkey is that of a witness.")] = False,
    json: Json = False,
) -> None:
    """Make an Ed25519 key: FILE for its owner alone, its public half as PEM and as the text of a verifier key."""
    from .auditing import keygen

    raise typer.Exit(keygen(name, out, witness, json))


@audit.command("update")
def update(tree: _Tree = None, database: Database = None, json: Json = False) -> None:
    """Take into the tree what the log holds beyond it (exit code 4: the log is another one)."""
    from .auditing import Place, update

    raise typer.Exit(update(Place(tree, database, json)))


@audit.command("head")
def head(tree: _Tree = None, key: _Private = None, database: Database = None, json: Json = False) -> None:
    """Update the tree and sign its head, as c2sp.org/tlog-checkpoint has it."""
    from .auditing import Place, head

    raise typer.Exit(head(Place(tree, database, json), key))


@audit.command("publish")
def publish(
    to: Annotated[str, _option("--to", "PLACE", "A folder, or a URL that takes PUT.")],
    heads: Annotated[
        list[str] | None, _option("--head", "FILE", "Publish this signed head, as witnesses gave it back; repeatable.")
    ] = None,
    tree: _Tree = None,
    key: _Private = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Sign the head and publish it, in a file of its own and as `latest`; nothing is written over but that."""
    from .auditing import Place, publish

    raise typer.Exit(publish(Place(tree, database, json), key, to, heads or []))


@audit.command("prove")
def prove(
    run_id: Annotated[
        str | None, typer.Argument(metavar="[RUN_ID]", help="All its events.", show_default=False)
    ] = None,
    position: Annotated[
        int | None,
        typer.Option("--position", metavar="N", min=1, max=2**63 - 1, help="The event there.", show_default=False),
    ] = None,
    head: _Head = None,
    out: _Out = None,
    tree: _Tree = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Prove that events are under a signed head; -o writes the proofs, for refold audit verify."""
    from .audit_proofs import prove
    from .auditing import Place

    raise typer.Exit(prove(Place(tree, database, json), run_id, tenant, position, head, out))


@audit.command("consistency")
def consistency(
    old: Annotated[str, typer.Argument(metavar="OLD", help="A size, or a head: file, folder or URL.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The same.")],
    out: _Out = None,
    tree: _Tree = None,
    json: Json = False,
) -> None:
    """Prove that the tree of one head begins with that of another; -o writes the proof, for witnesses."""
    from .audit_proofs import consistency
    from .auditing import Place

    raise typer.Exit(consistency(Place(tree, None, json), old, new, out))


@audit.command("witness")
def witness(
    head: Annotated[
        str, typer.Argument(metavar="HEAD", help="A signed head: file, folder or URL.", show_default=False)
    ],
    log_key: Annotated[str, _option("--log-key", "KEY", "The log's public key.")],
    state: Annotated[str, _option("--state", "FILE", "Where the witness keeps the head that it last signed.")],
    key: Annotated[str | None, _option("--key", "FILE", "The witness's private key; else REFOLD_AUDIT_KEY.")] = None,
    proof: _Proof = None,
    out: _Out = None,
    tree: Annotated[str | None, _option("--tree", "FOLDER", "Make the proof from these files instead.")] = None,
    json: Json = False,
) -> None:
    """Co-sign a head, if the log signed it and it continues the one signed last (exit code 4: it does not)."""
    from .audit_witness import witness

    raise typer.Exit(witness(head, log_key, state, key, proof, tree, out, json))


@audit.command("check")
def check(
    head: Annotated[str, _option("--head", "PLACE", "The published head: a file, folder or URL.")],
    key: _Public = None,
    witnesses: _Witnesses = None,
    tree: _Tree = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Hold the whole log against a published head (exit code 4: it is not the log that was published)."""
    from .audit_bundles import check
    from .auditing import Place

    raise typer.Exit(check(Place(tree, database, json), head, key, witnesses or []))


@audit.command("export")
def export(
    run_id: RunId,
    out: Annotated[str, _option("-o", "FILE", "The bundle, a zip.")],
    head: _Head = None,
    goldens: Annotated[str | None, _option("--goldens", "FOLDER", "Else REFOLD_GOLDENS, else goldens.")] = None,
    tree: _Tree = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Write all that it takes to prove a run without the database, in one file."""
    from .audit_bundles import export
    from .auditing import Place

    raise typer.Exit(export(Place(tree, database, json), run_id, tenant, out, head, goldens))


@audit.command("verify")
def verify(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A bundle, or proofs by refold audit prove.")],
    key: _Public = None,
    witnesses: _Witnesses = None,
    published: Annotated[
        str | None, _option("--published", "PLACE", "Hold its head against this published one.")
    ] = None,
    proof: _Proof = None,
    golden_keys: Annotated[str | None, _option("--golden-keys", "FILE", "Verify the golden's HMAC with these.")] = None,
    json: Json = False,
) -> None:
    """Prove a bundle by its bytes and public keys alone, layer by layer (exit code 4: something does not hold)."""
    from .audit_bundles import verify

    raise typer.Exit(verify(file, key, witnesses or [], published, proof, golden_keys, json))


@audit.command("verifier")
def verifier(out: _Out = None) -> None:
    """Write the stand-alone verifier: one short file of Python that needs nothing of Refold."""
    from .audit_bundles import verifier

    raise typer.Exit(verifier(out))
