"""The one way to answer a page: a model of plain JSON values, and a template that draws it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from fastapi import Request, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel, ConfigDict, model_validator

from ...core.emergency import Stop
from ..answers import answer
from ..callers import Caller
from ..ports import Ports
from . import plots, words
from .assets import address_of
from .change_trees import change_tree
from .forms import csrf_token
from .navigation import navigation_of
from .pictures import graph, strip
from .trees import tree

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""The policy for content (CSP level 3): nothing from elsewhere, no script and no style within a page."""

HEADERS = {
    "content-security-policy": POLICY,
    "cache-control": "no-store",
    "referrer-policy": "same-origin",
    "vary": "accept",
}
"""What every page is sent with."""


class PageParameters(BaseModel):
    """The query of a page. A form sends what was left empty as an empty text: that counts as not given."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["html", "json"] = "html"

    @model_validator(mode="before")
    @classmethod
    def without_empty(cls, given: Any) -> Any:
        """What was filled in."""
        if not isinstance(given, Mapping):
            return given
        found: Mapping[str, Any] = given  # pyright: ignore[reportUnknownVariableType]
        return {name: value for name, value in found.items() if value not in ("", [""])}


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters: dict[str, Any] = {
        "when": words.when,
        "exact": words.exact,
        "duration": words.duration,
        "short": words.short,
        "count": words.count,
        "figure": words.figure,
        "cents": words.cents,
        "pretty": words.pretty,
        "segment": words.segment,
        "status": words.status_mark,
        "took": words.took,
        "tree": tree,
        "strip_picture": strip,
        "graph_picture": graph,
    }
    offered: dict[str, Any] = {
        "static": address_of,
        "plots": plots,
        "query": words.query,
        "changes": change_tree,
        "SIGNS": words.SIGNS,
    }
    made.filters.update(filters)  # pyright: ignore[reportUnknownMemberType]
    made.globals.update(offered)  # pyright: ignore[reportUnknownMemberType]
    return made


_TEMPLATES = _environment()


async def page(
    request: Request,
    ports: Ports,
    caller: Caller,
    template: str,
    model: Mapping[str, Any],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """`model`, as `template` draws it, or, asked for `?format=json`, as it is.

    The template sees the model's fields and `shell`, what every page shows: see `base.html`. Drawing is done off the
    event loop; whoever calls this asks the store beforehand.
    """
    if request.query_params.get("format") == "json":
        return answer(dict(model), status, {"cache-control": "no-store", **(headers or {})})
    stops = (await ports.engine.emergency.status()).all()
    shell = {**shell_of(request, caller), "stops": [stop.to_json() for stop in stops if _concerns(stop, caller)]}
    drawn = await ports.ask(draw, template, {**model, "shell": shell})
    return html(drawn, status, headers)


def shell_of(request: Request, caller: Caller | None, *, leads_on: bool = False) -> dict[str, Any]:
    """What every page shows, as far as it is known without the store. `caller` is None where nobody is known: then the
    page has the way to the others only if it `leads_on`."""
    path = request.url.path
    # What is answered before the application is reached, such as to a foreign Host, has none.
    served: set[str] = getattr(request.app.state, "pages", set()) if "app" in request.scope else set()
    return {
        "navigation": navigation_of(caller, path, served) if caller is not None or leads_on else [],
        "who": None if caller is None else caller.name,
        "tenant": None if caller is None else caller.tenant,
        "scopes": [] if caller is None else sorted(caller.scopes),
        "everywhere": caller is not None and caller.everywhere,
        "token": "" if caller is None else csrf_token(request, caller),
        "stops": [],
        "path": path,
    }


def draw(template: str, model: Mapping[str, Any]) -> str:
    """The page as text."""
    return _TEMPLATES.get_template(template).render(model)


def html(drawn: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A drawn page as a response."""
    # Text that came in as a lone surrogate (in an id, say) cannot be written; it shows as a question mark.
    data = drawn.encode("utf-8", "replace")
    return Response(data, status, {**HEADERS, **(headers or {})}, "text/html; charset=utf-8")


def _concerns(stop: Stop, caller: Caller) -> bool:
    """Whether the caller is to know of a stop: not of those of other tenants."""
    return caller.everywhere or stop.scope.kind != "tenant" or stop.scope.name == caller.tenant
