"""Which methods a path takes."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, cast

from fastapi import FastAPI


def methods_of(app: FastAPI, path: str) -> set[str]:
    """The methods that the OpenAPI document has for `path`."""
    paths = cast("dict[str, dict[str, Any]]", app.openapi()["paths"])
    if path in paths:
        return {method.upper() for method in paths[path]}
    return {method.upper() for shape, item in paths.items() if _pattern(shape).fullmatch(path) for method in item}


@cache
def _pattern(shape: str) -> re.Pattern[str]:
    return re.compile("[^/]+".join(map(re.escape, re.split(r"\{[^}]*\}", shape))))
