"""The repository's own Python, read as syntax trees: what the tests of the house look at."""

from __future__ import annotations

import ast
import gc
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from .root_package import ROOT

PRODUCT = ("api", "core", "eventstore", "ops", "projections", "replay")
"""The folders that, with the modules of the root, are shipped."""

AROUND = ("bench", "examples", "tests")
"""The folders of Python that is not shipped."""


@dataclass(frozen=True)
class Module:
    """One file of Python: its path from the root, its dotted name, its text and its tree."""

    path: str
    name: str
    text: str
    tree: ast.Module

    @classmethod
    def parse(cls, path: str, text: str) -> Module:
        """The module that `text` is if it lies at `path`; what is shipped has names that start with `refold`."""
        parts = Path(path).with_suffix("").parts
        return cls(
            path, ".".join(("refold", *(parts[:-1] if parts[-1] == "__init__" else parts))), text, ast.parse(text)
        )

    @property
    def package(self) -> list[str]:
        """The parts of the name from which relative imports count."""
        parts = self.name.split(".")
        return parts if self.path.endswith("__init__.py") else parts[:-1]

    def at(self, line: int, rule: str) -> str:
        """A finding: file, line and the rule that is broken."""
        return f"{self.path}:{line}: {rule}"


@dataclass(frozen=True)
class Import:
    """One imported module: who imports it, in which line, and what hides it (a function, TYPE_CHECKING)."""

    module: Module
    line: int
    target: str
    hidden_in: str = ""


@cache
def product() -> tuple[Module, ...]:
    """Every module that is shipped."""
    files = [*ROOT.glob("*.py"), *(file for folder in PRODUCT for file in (ROOT / folder).rglob("*.py"))]
    return _read(files)


@cache
def around() -> tuple[Module, ...]:
    """Every module of tests, examples and benchmarks."""
    return _read([file for folder in AROUND for file in (ROOT / folder).rglob("*.py")])


def imports(module: Module, known: Sequence[Module]) -> list[Import]:
    """What the module imports, wherever it does so; `from . import x` counts as `x` where x is one of `known`."""
    names = {other.name for other in known}
    return [
        Import(module, node.lineno, target, hidden_in)
        for node, hidden_in in _statements(module.tree, "")
        for target in _targets(module, node, names)
    ]


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """What `tree` consists of, without looking into expressions: they are most of a tree, and hold no statement."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            inner = getattr(node, block, ())
            if isinstance(inner, list):  # A lambda's body is none.
                waiting.extend(inner)


def dotted(node: ast.AST) -> str:
    """The name `a.b.c` that an expression is, "" for any other one."""
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return node.id if isinstance(node, ast.Name) else ""


def forbid(findings: Iterable[str]) -> None:
    """Fail the test with the findings, each a line, if there are any."""
    found = sorted(set(findings))
    if found:
        pytest.fail("\n".join(["the rules of the house are broken:", *found]), pytrace=False)


def _read(files: list[Path]) -> tuple[Module, ...]:
    # The trees are millions of objects that stay: the collector must not go through them again and again.
    gc.disable()
    try:
        return tuple(
            Module.parse(str(file.relative_to(ROOT)), file.read_text(encoding="utf-8")) for file in sorted(files)
        )
    finally:
        gc.freeze()
        gc.enable()


def _statements(node: ast.AST, hidden_in: str) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, hidden_in
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _statements(child, hidden_in or f"function {child.name}")
        elif isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            yield from _statements(child, "TYPE_CHECKING")
        else:
            yield from _statements(child, hidden_in)


def _targets(module: Module, node: ast.Import | ast.ImportFrom, known: set[str]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    start = module.package[: len(module.package) - node.level + 1] if node.level else []
    base = ".".join([*start, *([node.module] if node.module else [])])
    return sorted({name if (name := f"{base}.{alias.name}") in known else base for alias in node.names})
