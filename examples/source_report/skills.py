"""The skills of the source report: plain functions with type hints, each doing one thing.

Only `read_sources` looks at the outside world. All others are deterministic: the same inputs give the same output, so
a replay runs them again and compares. What they take and return is JSON; dataclasses are filled from it and become it.
"""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from threading import Lock
from typing import Any

from refold import Failure, FailureCatalog, skill

CODES = FailureCatalog()
CODES.register(
    "FOLDER_MISSING",
    "VALIDATION",
    "The folder that was to be read is not there.",
    suggestion="Give a folder that is there: refold fork RUN_ID --set /inputs/folder=NAME",
)
CODES.register(
    "SYNTAX_INVALID",
    "VALIDATION",
    "A file is no Python that can be parsed.",
    suggestion="Correct it where the message says, then: refold fork RUN_ID --from-step read",
)


@dataclass
class Source:
    """A file and its text."""

    path: str
    text: str


@dataclass
class Function:
    """A function or method: where it is and how many lines it has."""

    name: str
    path: str
    line: int
    lines: int


@dataclass
class Module:
    """What was measured in one file. `public` counts what should have a docstring: the module and its public names."""

    path: str
    name: str
    lines: int
    functions: list[Function]
    names: list[str]
    imports: list[str]
    public: int
    documented: int


@dataclass
class Package:
    """A package and its modules."""

    name: str
    modules: list[Module]


@skill(failures=CODES)
def read_sources(folder: str, root: str = ".", recursive: bool = True) -> list[Source]:
    """Every Python file of a folder. Not deterministic, for files change: replay takes the output from the log."""
    place = Path(root, folder)
    if not place.is_dir():
        raise Failure("FOLDER_MISSING", f"there is no folder {place}", retryable=False)
    files = sorted(place.rglob("*.py") if recursive else place.glob("*.py"))
    return [Source(file.relative_to(root).as_posix(), file.read_text(encoding="utf-8")) for file in files]


@skill(deterministic=True, failures=CODES)
def measure(package: str, project: str, files: list[Source]) -> Package:
    """Count lines, functions, names, imports and docstrings of every file."""
    return Package(package, [_module(project, file) for file in files])


@skill(deterministic=True)
def compare_packages(packages: list[Package]) -> list[dict[str, Any]]:
    """One row for each package, the largest first."""
    rows = [
        {
            "package": package.name,
            "files": len(package.modules),
            "lines": sum(module.lines for module in package.modules),
            "functions": sum(len(module.functions) for module in package.modules),
            "public": sum(module.public for module in package.modules),
            "documented": sum(module.documented for module in package.modules),
        }
        for package in packages
    ]
    return sorted(rows, key=lambda row: (-row["lines"], row["package"]))


@skill(deterministic=True)
def largest_files(packages: list[Package], count: int = 10) -> list[dict[str, Any]]:
    """The files with the most lines."""
    modules = [module for package in packages for module in package.modules]
    modules.sort(key=lambda module: (-module.lines, module.path))
    return [{"path": module.path, "lines": module.lines} for module in modules[:count]]


@skill(deterministic=True)
def longest_functions(packages: list[Package], count: int = 10) -> list[Function]:
    """The functions with the most lines."""
    functions = [each for package in packages for module in package.modules for each in module.functions]
    return sorted(functions, key=lambda each: (-each.lines, each.path, each.line))[:count]


@skill(deterministic=True)
def most_imported(packages: list[Package], count: int = 10) -> list[dict[str, Any]]:
    """The modules of the project that most other modules import."""
    modules = [module for package in packages for module in package.modules]
    known = {module.name for module in modules}
    importers = Counter(name for module in modules for name in {*module.imports} & known - {module.name})
    ranked = sorted(importers.items(), key=lambda item: (-item[1], item[0]))
    return [{"module": name, "importers": number} for name, number in ranked[:count]]


@skill(deterministic=True)
def duplicate_names(packages: list[Package]) -> list[dict[str, Any]]:
    """Public classes and functions whose name is taken in more than one module."""
    places: dict[str, list[str]] = defaultdict(list)
    for package in packages:
        for module in package.modules:
            for name in module.names:
                places[name].append(module.path)
    return [{"name": name, "places": paths} for name, paths in sorted(places.items()) if len(paths) > 1]


@skill(deterministic=True)
def draw_treemap(packages: list[Package], width: int = 960, height: int = 440) -> str:
    """A picture (SVG) in which every file is a rectangle as large as the file, coloured by package."""
    sized = [(sum(module.lines for module in package.modules), package) for package in packages]
    sized = sorted(((lines, package) for lines, package in sized if lines), key=lambda item: (-item[0], item[1].name))
    drawn = [
        _drawn_package(package, COLOURS[at % len(COLOURS)], box)
        for at, (package, box) in enumerate(_boxes(sized, (0, 0, width, height)))
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" font-family="{FONT}">'
    return "\n".join([head, "<title>Every file, as large as its number of lines</title>", *drawn, "</svg>", ""])


@skill(deterministic=True)
def write_page(
    project: str,
    tree_hash: str,
    treemap: str,
    packages: list[dict[str, Any]],
    files: list[dict[str, Any]],
    functions: list[Function],
    imported: list[dict[str, Any]],
    duplicates: list[dict[str, Any]],
) -> str:
    """The report as one HTML page that needs nothing else."""
    lines, public = sum(row["lines"] for row in packages), sum(row["public"] for row in packages)
    documented = sum(row["documented"] for row in packages)
    tiles = {
        "lines": f"{lines:,}",
        "files": f"{sum(row['files'] for row in packages):,}",
        "functions": f"{sum(row['functions'] for row in packages):,}",
        "documented": _percent(documented, public),
        "tree hash": tree_hash[:12],
    }
    overview = [
        (row["package"], row["lines"], row["files"], row["functions"], _percent(row["documented"], row["public"]))
        for row in packages
    ]
    parts = [
        f"<header><h1>The source of {escape(project)}</h1><div class=tiles>",
        *(f"<div><b>{escape(value)}</b><span>{label}</span></div>" for label, value in tiles.items()),
        f"</div></header><figure>{treemap}<figcaption>Every rectangle is a file, as large as its number of lines."
        "</figcaption></figure><main>",
        _table("Packages", ("package", "lines", "files", "functions", "documented"), overview, "wide"),
        _table("Largest files", ("file", "lines"), [(row["path"], row["lines"]) for row in files]),
        _table(
            "Longest functions", ("function", "lines"), [(f"{f.path}:{f.line} {f.name}", f.lines) for f in functions]
        ),
        _table(
            "Most imported modules", ("module", "importers"), [(r["module"], r["importers"]) for r in imported], "wide"
        ),
        _table(
            "Names used more than once",
            ("name", "modules", "where"),
            [(row["name"], len(row["places"]), ", ".join(row["places"])) for row in duplicates],
            "wide",
        ),
        f"</main><footer>Tree hash <code>{escape(tree_hash)}</code>: SHA-256 over every file that was read.</footer>",
    ]
    title = f"<title>The source of {escape(project)}</title>"
    return f"<!doctype html><html lang=en><meta charset=utf-8>{title}<style>{STYLE}</style>{''.join(parts)}</html>\n"


def _module(project: str, source: Source) -> Module:
    try:
        with PARSER:
            tree = ast.parse(source.text)
    except SyntaxError as error:
        raise Failure("SYNTAX_INVALID", f"{source.path}:{error.lineno}: {error.msg}", retryable=False) from error
    parts = [project, *Path(source.path).with_suffix("").parts]
    is_package = parts[-1] == "__init__"
    name = ".".join(parts[:-1] if is_package else parts)
    definitions = [node for node in ast.walk(tree) if isinstance(node, DEFINITIONS)]
    public = list(_public(tree.body))
    return Module(
        path=source.path,
        name=name,
        lines=len(source.text.splitlines()),
        functions=[
            Function(node.name, source.path, node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1)
            for node in definitions
            if not isinstance(node, ast.ClassDef)
        ],
        names=[node.name for node in public if node in tree.body],
        imports=sorted(set(_imports(tree, name if is_package else name.rpartition(".")[0]))),
        public=1 + len(public),
        documented=sum(ast.get_docstring(node) is not None for node in (tree, *public)),
    )


PARSER = Lock()
"""Skills run side by side on threads, and the parser of Python 3.11 fails when two use it at once."""

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _public(body: list[ast.stmt]) -> Iterator[Definition]:
    """The functions and classes of a module that others may use, and the methods of such classes."""
    for node in body:
        if isinstance(node, DEFINITIONS) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node.body)


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    """Everything that may be an imported module; `from a import b` may mean the module a or the module a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (base, *(f"{base}.{alias.name}" for alias in node.names))


Box = tuple[float, float, float, float]
"""Left, top, width, height."""


def _boxes(sized: list[tuple[int, Any]], box: Box) -> list[tuple[Any, Box]]:
    """Divide `box` among items by size: halve the list where its sum is halved, cut the longer side, and so on."""
    if len(sized) < 2:
        return [(item, box) for _, item in sized]
    total, first, cut = sum(size for size, _ in sized), sized[0][0], 1
    while cut < len(sized) - 1 and first + sized[cut][0] <= total / 2:
        first, cut = first + sized[cut][0], cut + 1
    x, y, width, height = box
    if width >= height:
        left = width * first / total
        one, other = (x, y, left, height), (x + left, y, width - left, height)
    else:
        top = height * first / total
        one, other = (x, y, width, top), (x, y + top, width, height - top)
    return _boxes(sized[:cut], one) + _boxes(sized[cut:], other)


def _drawn_package(package: Package, colour: str, box: Box) -> str:
    x, y, width, height = box
    title = 18 if height > 44 and width > 7 * len(package.name) + 12 else 0
    modules = sorted((module for module in package.modules if module.lines), key=lambda m: (-m.lines, m.path))
    inside = (x + 2, y + 2 + title, max(width - 4, 1), max(height - 4 - title, 1))
    files = [_drawn_file(module, colour, at) for module, at in _boxes([(m.lines, m) for m in modules], inside)]
    label = f'<text x="{x + 6:.1f}" y="{y + 15:.1f}" font-size="12" font-weight="600" fill="{colour}">'
    return "\n".join([f"{label}{escape(package.name)}</text>" if title else "", *files])


def _drawn_file(module: Module, colour: str, box: Box) -> str:
    x, y, width, height = box
    name = Path(module.path).name
    size = f'x="{x + 1:.1f}" y="{y + 1:.1f}" width="{max(width - 2, 0.5):.1f}" height="{max(height - 2, 0.5):.1f}"'
    tooltip = f"<title>{escape(module.path)}: {module.lines} lines</title>"
    shape = f'<rect {size} rx="2" fill="{colour}">{tooltip}</rect>'
    if width < 5.6 * len(name) + 10 or height < 18:
        return shape
    return f'{shape}<text x="{x + 6:.1f}" y="{y + 14:.1f}" font-size="9.5" fill="#fff">{escape(name)}</text>'


def _table(title: str, heads: tuple[str, ...], rows: list[tuple[Any, ...]], kind: str = "") -> str:
    """An HTML table whose second column is also drawn as bars."""
    largest = max((row[1] for row in rows), default=0) or 1
    body = "".join(
        f"<tr><th scope=row>{escape(str(row[0]))}<td class=bar style='--share:{100 * row[1] / largest:.1f}%'>{row[1]:,}"
        + "".join(f"<td>{escape(str(cell))}" for cell in row[2:])
        for row in rows
    )
    columns = "".join(f"<th scope=col>{head}" for head in heads)
    return f"<section class='{kind}'><h2>{title}</h2><table><thead><tr>{columns}<tbody>{body}</table></section>"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"


FONT = "system-ui, 'DejaVu Sans', sans-serif"
COLOURS = ("#33638d", "#2a7f74", "#8a5a2b", "#7a4b84", "#a3443f", "#55702c", "#4d5563", "#9a6a00", "#1f6f9f", "#6b4f3a")
STYLE = f"""
:root {{ color-scheme: light dark; --ink: light-dark(#1c2330, #e6e9ef); --soft: light-dark(#667085, #98a2b3);
  --line: light-dark(#e4e7ec, #344054); --bar: light-dark(#dbe7f3, #24405c); --page: light-dark(#fff, #12161f) }}
* {{ box-sizing: border-box }}
body {{ max-width: 1000px; margin: 0 auto; padding: 40px 20px; color: var(--ink); background: var(--page);
  font: 14px/1.5 {FONT} }}
h1 {{ font-size: 26px; margin: 0 0 20px }} h2 {{ font-size: 15px; margin: 0 0 8px }}
.tiles {{ display: flex; flex-wrap: wrap; gap: 36px }} .tiles div {{ display: grid }}
.tiles b {{ font-size: 22px; font-weight: 600; font-variant-numeric: tabular-nums }}
.tiles span {{ color: var(--soft) }}
figure {{ margin: 28px 0 32px }} figcaption {{ color: var(--soft); font-size: 12px; margin-top: 6px }}
main {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(400px, 1fr)); gap: 32px }}
.wide {{ grid-column: 1 / -1 }}
table {{ width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums }}
th, td {{ padding: 4px 8px; border-bottom: 1px solid var(--line); text-align: right }}
th:first-child {{ text-align: left; padding-left: 0; overflow-wrap: anywhere }} tbody th {{ font-weight: 400 }}
thead th {{ color: var(--soft); font-size: 12px; font-weight: 400 }}
.bar {{ min-width: 110px; background: linear-gradient(var(--bar) 0 0) right / var(--share) 72% no-repeat }}
footer {{ margin-top: 36px; color: var(--soft); font-size: 12px; overflow-wrap: anywhere }}
"""
