"""The rules of the house: sizes, documentation, what is banned, what is shipped, and that pytest loads us only once."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import refold
from refold.compose import BUILD
from refold.tests.support.root_package import ROOT
from refold.tests.support.source import PRODUCT, Module, around, dotted, forbid, imports, product, statements

LONGEST_FILE, LONGEST_FUNCTION = 400, 70
"""In lines."""

BANNED_IMPORTS = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
BANNED_CALLS = {"eval", "exec", "compile", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONSTRAINTS = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]


def test_files_and_functions_are_short() -> None:
    forbid(finding for module in (*product(), *around()) for finding in too_long(module))


def test_every_public_name_is_documented() -> None:
    forbid(finding for module in product() for finding in undocumented(module))


def test_nothing_dangerous_is_called() -> None:
    # Tests may: some look at what becomes of source text.
    shown = [module for module in around() if not module.path.startswith("tests")]
    forbid(finding for module in (*product(), *shown) for finding in dangers(module))


def test_invariants_survive_python_dash_o() -> None:
    forbid(
        module.at(node.lineno, "`python -O` strips assert: check by a function that raises")
        for module in product()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Assert)
    )


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("undocumented", "def f(): ..."),
        ("undocumented", "'''Doc.'''\nLIMIT = 3"),
        ("undocumented", "'''Doc.'''\nclass A: ..."),
        ("dangers", "import pickle"),
        ("dangers", "eval('1')"),
        ("dangers", "import os\nos.system('ls')"),
        ("dangers", "import subprocess\nsubprocess.run('ls', shell=True)"),
        ("too_long", "def f():\n" + "    x = 1\n" * 70),
        ("too_long", "x = 1\n" * 401),
    ],
)
def test_a_broken_rule_is_found(rule: str, text: str) -> None:
    assert list(globals()[rule](Module.parse("core/a.py", text)))


def test_the_listed_packages_are_the_folders() -> None:
    files = [file for folder in PRODUCT for file in (ROOT / folder).rglob("*.py")]
    folders = {"refold", *(".".join(("refold", *file.relative_to(ROOT).parts[:-1])) for file in files)}
    assert sorted(folders) == sorted(PYPROJECT["tool"]["setuptools"]["packages"]), "packages in pyproject.toml"
    bare = [str(file.parent.relative_to(ROOT)) for file in files if not (file.parent / "__init__.py").exists()]
    assert not bare, f"folders without __init__.py: {sorted(set(bare))}"


def test_every_data_file_is_shipped() -> None:
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]
    shipped = {
        file
        for package, globs in patterns.items()
        for pattern in globs
        for file in ROOT.joinpath(*package.split(".")[1:]).glob(pattern)
    }
    data = {
        file
        for folder in PRODUCT
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and file.suffix != ".py" and "__pycache__" not in file.parts
    }
    assert not data - shipped, f"not in package-data of pyproject.toml: {sorted(map(str, data - shipped))}"
    assert ROOT / "py.typed" in shipped


def test_every_dependency_has_an_upper_bound_and_a_tested_version() -> None:
    tested = {_normal(line.partition("==")[0]) for line in CONSTRAINTS}
    project = PYPROJECT["project"]
    for requirement in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        assert re.search(r">=[\d.]+,<[\d.]+$", requirement), f"{requirement}: give a lower and an upper bound"
        assert _normal(re.split(r"[\[<>=]", requirement)[0]) in tested, f"{requirement}: no version in constraints.txt"


def test_what_is_imported_is_a_declared_dependency() -> None:
    project = PYPROJECT["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dask"]]
    declared = {_normal(re.split(r"[\[<>=]", requirement)[0]) for requirement in wanted}
    distributions = packages_distributions()
    forbid(
        found.module.at(found.line, f"{top} is no dependency in pyproject.toml")
        for module in product()
        for found in imports(module, product())
        if (top := found.target.partition(".")[0]) not in {"refold", *sys.stdlib_module_names}
        if top != "pydantic_core"  # a part of pydantic, which demands its exact version
        if not declared & {_normal(name) for name in distributions.get(top, [])}
    )


def test_constraints_are_names_and_versions_only() -> None:
    odd = [line for line in CONSTRAINTS if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line)]
    assert not odd, f"constraints.txt: {odd}"


def test_no_file_names_a_machine_or_a_registry() -> None:
    here = re.escape(str(ROOT)) if len(ROOT.parts) > 2 and ROOT.parent.name not in {"opt", "srv", "src"} else "(?!)"
    machine = re.compile(rf"{here}\b|/(?:home|Users)/\w+/|[A-Z]:\\\\?Users|--(?:extra-)?index-url|/simple/|pypi\.org")
    # The sandbox is tested with the paths that attackers like.
    files = [file for file in committed_files() if "tests" not in file.relative_to(ROOT).parts]
    forbid(
        f"{file.relative_to(ROOT)}:{number}: names a machine or a registry: {found.group()}"
        for file in files
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if (found := machine.search(line))
    )


def test_every_make_target_is_explained() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    shown = subprocess.run(["make", "-C", ROOT, "--no-print-directory"], capture_output=True, text=True, check=True)
    assert targets == set(re.findall(r"^make ([\w-]+)", shown.stdout, re.M)), "a target without `## explanation`"
    assert targets == set(re.search(r"^\.PHONY: (.*)$", makefile, re.M)[1].split()), "a target missing in .PHONY"  # type: ignore[index]


def test_every_file_of_ours_was_loaded_once() -> None:
    names: dict[Path, list[str]] = {}
    for name, loaded in list(sys.modules.items()):
        file = getattr(loaded, "__file__", None)
        # __main__ is the script that pytest or a worker was started by.
        if file and name != "__main__" and Path(file).resolve() in {ROOT / module.path for module in product()}:
            names.setdefault(Path(file).resolve(), []).append(name)
    assert names, "nothing of ours is loaded, so this test cannot fail"
    assert all(len(twins) == 1 for twins in names.values()), f"loaded more than once: {names}"


@pytest.mark.parametrize("name", ["refold", "core", "2 odd-name.d"])
def test_pytest_loads_a_checkout_of_any_name_once(tmp_path: Path, name: str) -> None:
    assert "1 passed" in pytest_in_a_small_checkout(tmp_path, name, "-p refold.tests.support.root_package")


def test_without_the_plugin_pytest_loads_the_root_twice(tmp_path: Path) -> None:
    assert "1 failed" in pytest_in_a_small_checkout(tmp_path, "2 odd-name.d", "")


def pytest_in_a_small_checkout(tmp_path: Path, name: str, options: str) -> str:
    """What pytest says in a checkout laid out like ours, whose only test is that every class exists once."""
    checkout = tmp_path / "somewhere" / name
    (checkout / "tests" / "support").mkdir(parents=True)
    for folder in (checkout, checkout / "core"):
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").write_text("class Thing: ...\n")
    (tmp_path / "refold").symlink_to(checkout)
    shutil.copy(ROOT / "tests/support/root_package.py", checkout / "tests/support")
    (checkout / "pytest.ini").write_text(f"[pytest]\naddopts = --import-mode=importlib -p no:cacheprovider {options}\n")
    (checkout / "tests/test_once.py").write_text(
        "import sys, refold.core\n"
        "def test_once():\n"
        "    loaded = {name for name, module in list(sys.modules.items()) if hasattr(module, 'Thing')}\n"
        "    assert loaded == {'refold', 'refold.core'}\n"
    )
    command = [sys.executable, "-P", "-m", "pytest", checkout]
    run = subprocess.run(command, env={"PYTHONPATH": str(tmp_path)}, cwd=tmp_path, capture_output=True, text=True)
    return run.stdout + run.stderr


def too_long(module: Module) -> Iterator[str]:
    """The file, and its functions, that are longer than anyone reads in one go."""
    if (lines := module.text.count("\n")) > LONGEST_FILE:
        yield module.at(lines, f"the file has {lines} lines, more than {LONGEST_FILE}")
    for node in statements(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LONGEST_FUNCTION:
                yield module.at(node.lineno, f"{node.name} has {lines} lines, more than {LONGEST_FUNCTION}")


def undocumented(module: Module) -> Iterator[str]:
    """Public names of the module without a docstring; one after a block of constants is for all of them."""
    if ast.get_docstring(module.tree) is None and module.tree.body:
        yield module.at(1, "the module has no docstring")
    waiting: list[tuple[int, str]] = []
    for node in [*module.tree.body, ast.Pass()]:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            waiting.clear()
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            if node.value is not None and re.match(r"(TypeVar|TypeVarTuple|ParamSpec)\(", ast.unparse(node.value)):
                names = []  # no name that anybody would import
            waiting.extend((node.lineno, name) for name in names if not name.startswith("_"))
        else:
            yield from (module.at(line, f"{name} has no docstring") for line, name in waiting)
            waiting.clear()
            if (
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
                and not node.name.startswith("_")
                and ast.get_docstring(node) is None
                and not any(ast.unparse(decorator).endswith("overload") for decorator in node.decorator_list)
            ):
                yield module.at(node.lineno, f"{node.name} has no docstring")


def dangers(module: Module) -> Iterator[str]:
    """Ways to run what should only be read."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (module.at(node.lineno, f"{name} is banned") for name in names if name in BANNED_IMPORTS)
        elif isinstance(node, ast.Call):
            called = dotted(node.func)
            if called in BANNED_CALLS:
                yield module.at(node.lineno, f"{called}() is banned")
            if any(keyword.arg == "shell" for keyword in node.keywords):
                yield module.at(node.lineno, "programs are called without a shell")


def committed_files() -> list[Path]:
    """The text files of the repository; what tools make is left out."""
    made = {"__pycache__", "build", "dist"}
    tops = [path for path in ROOT.iterdir() if not path.name.startswith(".") or path.name in {".ci", ".gitignore"}]
    files = [file for top in tops for file in ([top] if top.is_file() else top.rglob("*")) if file.is_file()]
    return [
        file
        for file in files
        if not made & set(file.parts)
        and not any(part.endswith(".egg-info") for part in file.parts)
        and file.suffix in {"", ".py", ".md", ".toml", ".txt", ".json", ".yaml", ".yml", ".sql"}
    ]


def _normal(name: str) -> str:
    return name.lower().replace("_", "-")


def test_the_public_face_offers_type_checkers_the_names_that_it_loads() -> None:
    stub = ast.parse((ROOT / "__init__.pyi").read_text())
    typed = {alias.name for node in ast.walk(stub) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert typed == set(refold.__all__), "__init__.pyi against __init__.py"
    for name in refold.__all__:
        assert getattr(refold, name) is not None


def test_the_version_is_the_same_wherever_it_stands() -> None:
    assert refold.__version__ == PYPROJECT["project"]["version"]
    assert f"refold {refold.__version__}" == BUILD
