"""Who may import whom. The picture is in docs/architecture.md; here it is enforced."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import PurePath

import pytest

from refold.tests.support.source import AROUND, PRODUCT, Import, Module, around, forbid, imports, product

# What each layer may import. A layer is a folder; `refold` stands for the modules of the root, which wire and show.
_CORE = frozenset({"refold.core", "refold.core.runtime", "refold.core.skills"})
ARROWS: dict[str, frozenset[str]] = {
    "refold.core": frozenset({"refold.core"}),
    "refold.core.runtime": _CORE,
    "refold.core.skills": _CORE,
    "refold.eventstore": _CORE | {"refold.eventstore"},
}
ARROWS["refold.projections"] = ARROWS["refold.eventstore"] | {"refold.projections"}
ARROWS["refold.replay"] = ARROWS["refold.projections"] | {"refold.replay"}
ARROWS["refold.api"] = ARROWS["refold.replay"] | {"refold.api"}
ARROWS["refold.ops"] = ARROWS["refold.api"] | {"refold.ops"}
ARROWS["refold"] = ARROWS["refold.ops"] | {"refold"}

# The commands need what compose wires; handing it to each of them would only move the wiring into ops.
ARROWS_TO_ROOT = {("refold.ops", "refold.compose")}

# Imports that may be hidden: (in modules whose name starts with, of what starts with, why). The arrows hold for them
# too, and so does the rule against circles.
LATE_IMPORTS = [
    ("refold", "importlib", "the public face loads a name when it is asked for: `refold --help` needs no engine"),
    ("refold.ops.cli", "", "`refold --help` answers within 0.3 s: a command loads what it needs when it is called"),
    ("refold.compose", "", "a driver is loaded only for the database that is used: `import refold` needs no psycopg"),
    ("refold.ops.doctor", "psycopg", "a driver is loaded only for the database that is used"),
    ("refold.ops.doctor", "refold.replay", "cryptography is loaded where there is a signed tree or its key to look at"),
    ("refold.ops.doctor", "ssl", "only who meets a server that is silent in clear asks it again by TLS"),
    ("refold.ops.shadow_faults", "psycopg", "a driver is loaded only for the database that is used"),
    ("refold.client", "refold.api.client.http", "50 ms of HTTP library that a client of a database need not pay"),
    ("refold.ops.fleet_dask", "distributed", "an extra, which only jobs on a cluster need"),
    ("refold.core.runtime", "pydantic", "25 ms that `import refold` need not wait for"),
    ("refold.core.runtime.registry", "importlib", "users name the module of their skills when they start a worker"),
    ("refold.core.sandbox.loose", "re2", "only those who judge plans need a compiled library of expressions"),
    ("refold.ops.tracing", "refold.ops.opentelemetry_tracer", "who wants no traces loads nothing of OpenTelemetry"),
    ("refold.ops.opentelemetry_tracer", "opentelemetry.exporter", "who has spans printed needs no HTTP library"),
    ("refold.api.metrics", "prometheus_client", "only those who are asked for metrics need it; `refold dev` is quick"),
    ("refold.api.metrics_text", "prometheus_client", "the same"),
    ("refold.core.skills.http", "httpx2", "50 ms that only those pay who call HTTP servers"),
]

# What brings a clock, chance, I/O, the process or the scheduler into what must be a function of events.
IMPURE = frozenset(
    """asyncio builtins concurrent ctypes fcntl glob http io locale logging mmap multiprocessing os pathlib platform
    queue random sched secrets select selectors shutil signal socket socketserver sqlite3 ssl subprocess sys tempfile
    threading time urllib uuid warnings weakref zoneinfo""".split()  # noqa: SIM905 - a list of words
)

# What the pure modules may use from outside: parsers, serialisers and expressions.
PURE_LIBRARIES = frozenset(
    {"jmespath", "orjson", "pydantic", "pydantic_core", "re2", "rfc8785", "typing_extensions", "yaml"}
)


def test_every_import_follows_an_arrow() -> None:
    forbid(against_arrows(product()))


def test_the_pure_core_knows_no_clock_no_chance_and_no_io() -> None:
    forbid(impurities(product()))


def test_no_import_is_hidden_without_a_reason() -> None:
    forbid(hidden_imports(product()))


def test_no_modules_import_each_other_in_a_circle() -> None:
    forbid(cycles(product()))


def test_the_package_imports_itself_relatively_and_the_rest_imports_refold() -> None:
    forbid([*absolute_imports(product(), inside=True), *absolute_imports(around(), inside=False)])


@pytest.mark.parametrize("library", ["fastapi", "opentelemetry", "psycopg", "structlog"])
def test_importing_refold_does_not_load(library: str) -> None:
    program = f"import refold, sys; print([name for name in sys.modules if name.startswith({library!r})])"
    loaded = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True)
    assert loaded.stdout.strip() == "[]", f"`import refold` loads {library}: {loaded.stdout}{loaded.stderr}"


@pytest.mark.parametrize("library", ["fastapi", "httpx2", "psycopg", "starlette"])
def test_a_client_of_a_sqlite_file_does_not_load(library: str) -> None:
    program = (
        "import refold, sys\n"
        "refold.SyncClient('sqlite:///none.db')\n"
        f"print([name for name in sys.modules if name.startswith({library!r})])"
    )
    loaded = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True)
    assert loaded.stdout.strip() == "[]", f"a client loads {library}: {loaded.stdout}{loaded.stderr}"


def test_the_help_of_the_command_does_not_load_the_web_framework() -> None:
    program = (
        "import sys\n"
        "from refold.ops.cli import main\n"
        "try:\n    main(['serve', '--help'])\n"
        "finally:\n    print(sorted({'fastapi', 'uvicorn', 'starlette'} & sys.modules.keys()))"
    )
    shown = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True)
    assert "loopback" in shown.stdout and shown.stdout.endswith("[]\n"), shown.stdout + shown.stderr


@pytest.mark.parametrize(
    ("path", "text", "finding"),
    [
        ("core/a.py", "from ..eventstore import log", "core may not import refold.eventstore"),
        ("core/a.py", "from .runtime import b", "core may not import refold.core.runtime"),
        ("core/runtime/b.py", "from ...eventstore import log", "core.runtime may not import refold.eventstore"),
        (
            "eventstore/log.py",
            "def f():\n    from ..projections import c",
            "eventstore may not import refold.projections",
        ),
        ("eventstore/log.py", "from .. import compose", "eventstore may not import refold.compose"),
        ("ops/cli/run.py", "from ... import testing", "ops may not import refold.testing"),
        ("ops/cli/run.py", "from ... import Engine", "ops may not import refold"),
        ("api/app.py", "from ..tests.support import x", "api may not import refold.tests.support"),
        ("testing.py", "from . import Engine", "nothing of ours imports the face"),
    ],
)
def test_a_wrong_arrow_is_found(path: str, text: str, finding: str) -> None:
    root = [Module.parse(name, "") for name in ("__init__.py", "compose.py", "testing.py")]
    (found,) = against_arrows([*root, Module.parse(path, text)])
    assert found.startswith(f"{path}:") and finding in found


@pytest.mark.parametrize(
    "text",
    ["import time", "from os import path", "import psycopg", "import datetime\nx = datetime.datetime.now()", "print()"],
)
def test_an_impure_core_is_found(text: str) -> None:
    assert len(list(impurities([Module.parse("core/a.py", text)]))) == 1
    assert not list(impurities([Module.parse("core/runtime/a.py", text)]))


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    import refold",
        "if TYPE_CHECKING:\n    from .log import Log",
        "import importlib",
        "__import__('os')",
    ],
)
def test_a_hidden_import_is_found(text: str) -> None:
    assert len(list(hidden_imports([Module.parse("eventstore/a.py", text)]))) == 1
    assert not list(hidden_imports([Module.parse("eventstore/a.py", "from . import log")]))


def test_a_circle_is_named_step_by_step() -> None:
    a, b = Module.parse("core/a.py", "from .b import x"), Module.parse("core/b.py", "def f():\n    from . import a")
    assert cycles([a, b]) == ["core/a.py:1: imports in a circle: refold.core.a -> refold.core.b -> refold.core.a"]


def against_arrows(modules: Sequence[Module]) -> Iterator[str]:
    """Imports for which there is no arrow."""
    for found in _ours(modules):
        importer, imported = _layer(found.module.name), _layer(found.target)
        if found.target == "refold" and importer == "refold":
            yield found.module.at(found.line, "nothing of ours imports the face, refold/__init__")
        elif imported not in ARROWS[importer] and (importer, found.target) not in ARROWS_TO_ROOT:
            allowed = ", ".join(sorted(ARROWS[importer]))
            yield found.module.at(found.line, f"{importer} may not import {found.target}; it may import {allowed}")


def impurities(modules: Sequence[Module]) -> Iterator[str]:
    """What makes a module of `core/*.py` more than a function of its arguments."""
    for module in modules:
        if _layer(module.name) != "refold.core":
            continue
        for found in imports(module, modules):
            top = found.target.partition(".")[0]
            if top in IMPURE or (top not in {"refold", *PURE_LIBRARIES} and top not in sys.stdlib_module_names):
                yield module.at(found.line, f"the pure core may not import {top}")
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"open", "print", "input"}:
                yield module.at(node.lineno, f"the pure core may not call {ast.unparse(node.func)}()")
            elif isinstance(node, ast.Call) and _called(node) in {"now", "utcnow", "today"}:
                yield module.at(node.lineno, f"the pure core has no clock to ask for {_called(node)}()")


def hidden_imports(modules: Sequence[Module]) -> Iterator[str]:
    """Imports in functions, under TYPE_CHECKING or by name, for which LATE_IMPORTS gives no reason."""
    for module in modules:
        for found in imports(module, modules):
            hidden_in = "importlib" if found.target in {"importlib", "importlib.util"} else found.hidden_in
            if hidden_in and not _has_reason(module.name, found):
                yield module.at(found.line, f"import of {found.target} hidden in {hidden_in}")
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and _called(node) == "__import__":
                yield module.at(node.lineno, "import hidden in a call of __import__")


def cycles(modules: Sequence[Module]) -> list[str]:
    """Each circle of imports, by the first of its modules; an import in a function counts too."""
    edges: dict[str, list[Import]] = {module.name: [] for module in modules}
    for found in _ours(modules):
        if found.target in edges and found.target != found.module.name:
            edges[found.module.name].append(found)
    circles: dict[frozenset[str], str] = {}
    for module in modules:
        path = _way_back(module.name, edges)
        if path:
            names = [module.name, *(step.target for step in path)]
            circles.setdefault(frozenset(names), module.at(path[0].line, f"imports in a circle: {' -> '.join(names)}"))
    return list(circles.values())


def absolute_imports(modules: Sequence[Module], *, inside: bool) -> Iterator[str]:
    """Imports by which a module of ours would be loaded a second time, or by a name that only works from the root."""
    folders = {*PRODUCT, *AROUND, "compose", "testing"}
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ImportFrom):
                # pytest gives test modules names of its own, so what they import relatively comes in twice.
                if node.level and PurePath(module.path).name.startswith(("test_", "conftest")):
                    yield module.at(node.lineno, "test modules import refold.tests.…, not relatively")
                names = [] if node.level else [node.module or ""]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            for name in names:
                top = name.partition(".")[0]
                if top in folders:
                    yield module.at(node.lineno, f"import refold.{name}, not {name}")
                elif top == "refold" and inside:
                    yield module.at(node.lineno, f"inside the package imports are relative, not of {name}")


def _ours(modules: Sequence[Module]) -> list[Import]:
    return [found for module in modules for found in imports(module, modules) if found.target.split(".")[0] == "refold"]


def _layer(name: str) -> str:
    parts = name.split(".")
    deepest_first = (".".join(parts[:length]) for length in range(len(parts), 1, -1))
    known = next((layer for layer in deepest_first if layer in ARROWS), "refold")
    # A folder that is no layer (refold.tests) is not the root either.
    return known if known != "refold" or len(parts) <= 2 else name


def _has_reason(importer: str, found: Import) -> bool:
    return any(
        (importer == whose if whose == "refold" else f"{importer}.".startswith(f"{whose}."))
        and found.target.startswith(what)
        for whose, what, _ in LATE_IMPORTS
    )


def _called(call: ast.Call) -> str:
    function = call.func
    return (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )


def _way_back(start: str, edges: dict[str, list[Import]]) -> list[Import]:
    """The shortest chain of imports from `start` to itself; empty if there is none."""
    ways: list[list[Import]] = [[step] for step in edges[start]]
    seen: set[str] = set()
    for way in ways:
        here = way[-1].target
        if here == start:
            return way
        if here not in seen:
            seen.add(here)
            ways.extend([*way, step] for step in edges[here])
    return []
