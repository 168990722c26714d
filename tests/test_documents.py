"""What the documents say is true: links lead somewhere, commands run.

A block under test is a ```bash block with the line `<!-- test -->` before it. It runs in an empty folder with `refold`
on the path; after `<!-- test: go on -->` it runs in the folder that the block before it left. Of `make` commands it is
only checked that the target exists.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from refold.tests.support.root_package import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
EVERY_DOCUMENT = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


class Block(NamedTuple):
    """Shell commands in a document, and where they stand."""

    document: Path
    line: int
    commands: str
    goes_on: bool

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def blocks(document: Path) -> list[Block]:
    """The blocks of the document that are marked for testing."""
    text = document.read_text(encoding="utf-8")
    found = re.finditer(r"^<!-- test(: go on)? -->\n+```bash\n(.*?)^```$", text, re.M | re.S)
    return [Block(document, text.count("\n", 0, match.start()) + 1, match[2], bool(match[1])) for match in found]


TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))


@EVERY_DOCUMENT
def test_every_mark_has_its_block(document: Path) -> None:
    marks = re.findall(r"^<!-- test.*-->$", document.read_text(encoding="utf-8"), re.M)
    assert len(marks) == len(blocks(document)), "a line <!-- test --> is not followed by a ```bash block"


@EVERY_DOCUMENT
def test_documented_commands_work(document: Path, tmp_path: Path) -> None:
    folder = None
    for block in blocks(document):
        if folder is None or not block.goes_on:
            folder = tmp_path / f"line-{block.line}"
            folder.mkdir()
        if re.search(r"\bcurl\b", block.commands) and shutil.which("curl") is None:
            pytest.fail(f"{block} needs the command curl, which is not installed; on Debian: apt-get install curl")
        commands = re.sub(r"^\s*make\b.*\n", "", block.commands, flags=re.M)
        result = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=folder,
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, f"{block}:\n{commands}\n{result.stdout}{result.stderr}"


@EVERY_DOCUMENT
def test_every_make_target_in_a_document_exists(document: Path) -> None:
    code = "\n".join(re.findall(r"^```.*?^```|`[^`\n]+`", document.read_text(encoding="utf-8"), re.M | re.S))
    named = {
        target for line in re.findall(r"(?:^|`)make ([^`\n#]+)", code, re.M) for target in re.findall(r"[a-z-]+", line)
    }
    assert named <= TARGETS, f"{document.name} names make targets that do not exist: {sorted(named - TARGETS)}"


@EVERY_DOCUMENT
def test_every_link_leads_somewhere(document: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.M | re.S)
    links = re.findall(r"\]\(([^)\s]+)\)", prose)
    dead = [link for link in links if not re.match(r"[a-z]+:", link) and not _leads(document, link)]
    assert not dead, f"{document.name} has dead links: {dead}"


def _leads(document: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = document.parent / path if path else document
    if not target.exists():
        return False
    # GitHub's anchors: lower case, punctuation gone, spaces to hyphens.
    headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.M) if anchor else []
    return not anchor or anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
