"""What docs/ops says to type can be typed: every `refold` in it is a command, with options and arguments that it has.

In blocks of ```bash the whole call must be right; in the prose a command may be named without its arguments.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from typer.core import TyperGroup

from refold.ops.cli.main import app
from refold.tests.support.root_package import ROOT

DOCUMENTS = sorted((ROOT / "docs/ops").glob("*.md"))
NUMBERS = {"CENTS": "500", "SECONDS": "60"}
"""What stands for a number."""

COMMAND: Any = typer.main.get_command(app)


def calls(text: str) -> Iterator[tuple[list[str], bool]]:
    """The words after each `refold`, and whether they are the whole call."""
    blocks = "^```bash\n(.*?)^```$"
    for block in re.findall(blocks, text, re.M | re.S):
        for line in re.sub(r"<<'(\w+)'.*?^\1$|\\\n", "", block, flags=re.M | re.S).splitlines():
            yield from ((words, True) for words in commands(line))
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    for span in re.findall(r"`([^`\n]+)`", prose):
        yield from ((words, False) for words in commands(span))


def commands(line: str) -> Iterator[list[str]]:
    """The calls of ours in a line of shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if not set(word) <= set("|&;<>()"):
            words.append(word)
            continue
        if words and words[0].rpartition("/")[2] == "refold":
            yield [NUMBERS.get(each, each) for each in words[1:] if each not in ("1", "2") or word[0] not in "<>"]
        words = []


def wrong(words: list[str], whole: bool) -> str:
    """What is wrong with a call; "" for nothing."""
    command: Any = COMMAND
    try:
        context = command.make_context("refold", list(words))
        while isinstance(command, TyperGroup):
            rest = [*context._protected_args, *context.args]
            if not rest:
                return "" if not whole or command.invoke_without_command else "it names no command"
            name, command, rest = command.resolve_command(context, rest)
            context = command.make_context(name, rest, parent=context)
    except typer.Exit:
        return ""
    except typer.TyperException as error:
        missing = type(error).__name__ in ("MissingParameter", "NoArgsIsHelpError", "BadOptionUsage")
        return "" if missing and not whole else error.format_message()
    return ""


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_every_command_is_one_of_ours_with_what_it_takes(document: Any) -> None:
    found = [(words, wrong(words, whole)) for words, whole in calls(document.read_text(encoding="utf-8"))]
    bad = [f"refold {shlex.join(words)}: {why}" for words, why in found if why]
    assert not bad, "\n".join(bad)


def test_a_wrong_command_is_found() -> None:
    text = "```bash\nrefold doctor --quick | cat\nrefold show\n```\nand `refold dctor`, but `refold show` is a name"
    assert [bool(wrong(*call)) for call in calls(text)] == [True, True, True, False]
