"""The words of `refold explain`; importing this adds them to the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .approval_commands import app
from .commands import Json, Skills

__all__ = ["app"]


@app.command("explain")
def explain(
    code: Annotated[
        str | None, typer.Argument(metavar="CODE", help="A failure code; without one, all.", show_default=False)
    ] = None,
    category: Annotated[
        str | None, typer.Option(metavar="C", help="Only of this category, such as TRANSIENT.", show_default=False)
    ] = None,
    skills: Skills = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="As a document with a heading for each code.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="The JSON Schema of the catalog instead.")] = False,
    json: Json = False,
) -> None:
    """Say what a failure code means and what to do about it; codes of one's own are found by --skills."""
    from .explaining import explain_code, explain_codes, write_schema

    if schema:
        raise typer.Exit(write_schema())
    if code is not None:
        if category is not None or markdown:
            raise typer.BadParameter("a single code takes neither --category nor --markdown", param_hint="CODE")
        raise typer.Exit(explain_code(code, skills or [], json))
    raise typer.Exit(explain_codes(category, skills or [], markdown, json))
