"""Who a run is started for, and under what: the options that `refold run` and `refold start` have in common."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import typer

Agent = Annotated[
    str | None, typer.Option("--agent", metavar="ID", help="The agent it is run for.", show_default=False)
]
"""For whom."""

Source = Annotated[
    str,
    typer.Option("--source", metavar="WHERE", help="planner: the plan must pass the sandbox.", show_default=False),
]
"""Where the plan comes from."""

PolicyOption = Annotated[
    str | None, typer.Option("--policy", metavar="FILE", help="A policy for this run.", show_default=False)
]
"""Under what policy besides that of the process."""


class Origin(NamedTuple):
    """The agent, where the plan comes from ("planner" or ""), the file of the run's own policy, and whom its
    sensitive data are about."""

    agent: str | None
    source: str
    policy: str | None
    subject: str | None = None
