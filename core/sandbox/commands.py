"""Command injection: shell syntax together with what shells run.

A pipe or a backtick is everywhere, and so are words such as `find`. What tells an attack from documentation is what
stands before: `ps aux | grep x` is a command line, `127.0.0.1 | id` a value with something behind it.
"""

from __future__ import annotations

import re
from typing import Final

from .command_lines import POSIX, WINDOWS
from .loose import CUT
from .net import Rule, Window
from .shell_words import NAMES, OTHERS, STRONG, WEAK

_STRONG_NAMES = frozenset(STRONG.split())
_HEADS: Final = frozenset((STRONG + " " + WEAK + " " + OTHERS).split())
_LIKE_ENGLISH: Final = (
    "more free who time sleep date test start last history watch query user at sc groups command which find sort "
    "head "
    "cut kill host touch split set tree less view print top id move copy type mail"
)
_ENGLISH: Final = frozenset(_LIKE_ENGLISH.split())
_READERS: Final = "md5sum base64 at bc grep egrep head tail sort wc awk sed cut less more tee xargs tr nl gawk test"
_FILTERS: Final = frozenset(_READERS.split())
_SURE = re.compile(
    r"\s*$|\s*[;|&<>`)}'\"\\\n\r]|\s*,[-/\w]|\s+(?:-{1,2}[a-z]|/[\w?*.]|~/|[$*`%@]|\.{1,2}(?:/|\s|$)|[\w.-]{1,64}["
    r"/\\:@]+\w|"
    r"\d{1,5}\s?(?:$|[;|&#)`'\"])|\S{1,40}\s?[;|&>#])|[<>]"
)
_WHAT = (
    r"[\s({\"'\\$+]{0,6}(?P<place>(?:/|~|\.|usr/|bin/|[a-z]:[\\/]|%\w{1,20}%)[\w./\\?*-]{0,64}[/\\])?"
    rf"(?P<name>{NAMES})(?:\.exe)?(?P<after>[^\w=-]|$)"
)
_CHAINS = r"(?P<opener>;|\|\|?|&&?|[\r\n]|^['\"]?\\[nr]|^<|(?:^|(?<=\s))\{(?=[\w/]{1,20},)|(?<!\w)%0[ad])" + _WHAT
_SUBSTITUTIONS = (
    r"(?P<opener>\$\(|[<>]\()" + _WHAT,
    r"(?:^[^\w`]{0,4}|[\w;|&=%/@\"'$.-]|[\d;|&\"'=]\s{1,2})(?P<opener>`)" + _WHAT,
)
_BEHIND = re.compile(_CHAINS.replace("opener>", "opener>`|\\$\\(|", 1))
_EVIDENCE = re.compile(
    r"\s+(?:\d{1,3}\.){3}\d{1,3}\b|"
    r"\s*$|\s*[;|&<>`)}'\"\\\n\r]|\s*,[-/\w]|\s+(?:[-+]{1,2}\w|/[\w?*.]|~|[$*\"'`%@]|\.{1,2}(?:/|\s|$)|"
    r"[\w.-]{1,64}[/\\:@]+(?:\w|\s|$)|[\w-]{1,64}\.(?:txt|php|sh|py|pl|log|conf|exe|ini|xml|html?|com|net|"
    r"org|io|db|env)\b|"
    r"\S{1,40}\s?[;|&>]|\S{1,60}$)|[<>]"
)
_CODE = re.compile(r"\s*(?:[=([]|:=|\.\w|[-+*]=|\+\+|=>|->|==|:\s|::|,\s)")
_HIDDEN = re.compile(
    r"^['\"]?(?:\\[nr])|\\[nr](?=$|\\|['\"]$)|\$\{?ifs\}?(?:\$\d)?|''|\"\"|\$[@*](?=\w)|\$\{[@*]\}|\\(?=[a-z])"
    r"|\^(?=[a-z])|(?<=[a-z])['\"](?=[a-z])|"
    r"\$\(\)|(?<!`)``(?!`)|(?<=[a-z])\$u(?=/| )"
)


def _is_behind_a_value(found: re.Match[str], window: Window) -> bool:
    text, opener, name, end = window.text, found["opener"], found["name"], found.start("after")
    follows = text[end : end + 80]
    if re.match(r"\.[a-z]|'s\b", follows):
        return False
    if opener in ("\n", "\r"):
        long = window.piece.end - window.piece.start > 300 or text.count("\n", 0, 301) > 2
        if long and not window.piece.is_hidden:
            return False
    elif opener == "`" and _is_code_span(text, found.start("opener")):
        return False
    if opener == "<" and not re.match(r"\s*(?:[;|&\r\n\\]|$)", follows):
        return False
    if _CODE.match(follows) and not (opener in ("`", "$(") and follows[:1] not in ("=", "(")):
        return False
    strong = name in _STRONG_NAMES or found["place"] is not None
    if (opener == "&" and follows[:1] in ("=", ";")) or (name == "base64" and follows[:1] == ","):
        return False
    if opener == ";" and _ENTITY.search(text, max(0, found.start("opener") - 10), found.start("opener")):
        return False
    if strong and not text[: found.start("opener")].strip():
        return True
    evidence = _SURE if name in _ENGLISH else _EVIDENCE
    if not (strong and opener not in ("|", "{")) and not evidence.match(follows):
        return False
    if opener == "|" and _is_cell(text, found.start("opener"), follows):
        return False
    return not _is_command_line(text, found.start("opener"), opener, name, window.piece.is_bare)


_ENTITY = re.compile(r"&#?\w{1,8}$")


def _is_code_span(text: str, at: int) -> bool:
    """Whether the backtick at `at` ends a code span, or begins one in prose or in markup."""
    before = text.count("`", text.rfind("\n", 0, at) + 1 if text.startswith(CUT) else 0, at)
    return (
        before % 2 == 1
        or text[max(0, at - 1) : at] == ":"
        or "``" in text[max(0, at - 1) : at + 2]
        or _is_prose(text, at)
        or (not text[:at].strip() and text.rstrip().endswith("`") and _LONG_SPAN.match(text.strip()) is not None)
    )


# One code span and nothing else, of more than a command and its argument.
_LONG_SPAN = re.compile(r"`[^`/;&>]*(?:\s[^`;&>\s]+){2,}`$")


def _is_behind_when_opened(found: re.Match[str], window: Window) -> bool:
    """The same, once the shell has taken away the quotes that hide a name."""
    start = found.start()
    opened = window.text[:start] + _HIDDEN.sub(_opened, window.text[start : start + 200])
    behind = _BEHIND.match(opened, start)
    return behind is not None and _is_behind_a_value(behind, window._replace(text=opened))


def _opened(found: re.Match[str]) -> str:
    return "\n" if found[0][-2:] in ("\\n", "\\r") else " " if "ifs" in found[0] else ""


def _is_prose(text: str, at: int) -> bool:
    """Whether the backtick at `at` is a code span of Markdown: at least three words stand around it."""
    end = text.find("`", at + 1, at + 300)
    around = text[max(0, at - 200) : at].split()[-12:] + (text[end + 1 : end + 200].split()[:12] if end > 0 else [])
    return sum(1 for word in around if word.strip(".,:;!?()*_#-").isalpha() and len(word) > 1) >= 3


def _is_cell(text: str, at: int, follows: str) -> bool:
    """Whether the pipe at `at` belongs to a table, a pattern or a type: `| id | name |`, `(cat|dog)`, `a | id`."""
    before = text[max(0, at - 40) : at]
    if (
        re.match(r"\s*\|(?:\s|$)", follows)
        and text.count("|", max(0, at - 200), at + 200) > 2
        and " | " in before + "| " + follows
    ):
        return True
    line = text[text.rfind("\n", 0, at) + 1 : at + 200].partition("\n")[0]
    if line.lstrip().startswith("|") and line.count("|") > 2 and "| " in line and " |" in line:
        return True
    many = "(" in text[:400] or text.count("|", 0, 400) > 2
    return bool(
        many
        and before[-1:].isalnum()
        and follows[:1] in ("|", ")", "`", '"', "'", "]")
        and text[at + 1 : at + 2] != " "
    )


_SHELL_CODE = re.compile(r"\s*(?:if|while|elif|for|local|export|\[{1,2}|\(\()\s|\s*#\s")


_NAMES_OF_VALUES: Final = frozenset({
    "test", "user", "host", "id", "w", "command", "query", "at", "file", "date", "type", "false", "true", "yes", "last",
})  # fmt: skip


def _is_command_line(text: str, at: int, opener: str, name: str, is_bare: bool) -> bool:
    """Whether what stands before the opener is a command line itself, or the words of somebody who explains one."""
    line = text[max(0, at - 200) : at]
    start = max(line.rfind(mark) for mark in ("\n", ";", "|", "&", "`", "(", '"', "'"))
    head = line[start + 1 :].strip().lstrip("$#>").split()
    if opener == "|" and name in _FILTERS and (len(line[:start].split()) > 0 or len(head) > 1):
        return True
    if (
        opener != "`"
        and head
        and head[0].isalpha()
        and any(word[0] == "-" and word[1:2].isalpha() for word in head[1:])
    ):
        return True
    if line[: start + 1].rstrip().endswith(("]", "))")) or _SHELL_CODE.match(line[line.rfind("\n") + 1 :]):
        return True
    if not head:
        # `a || b`: nothing between two openers, or the beginning of the text.
        return False
    if (
        opener in ("$(", "<(", "`")
        and re.match(r"(?:\w+\s+){0,3}[a-z_]\w*=", " ".join(head))
        and not re.search(r"[?&/.@]", " ".join(head))
    ):
        return True
    if any(word.rsplit("/", 1)[-1] in _HEADS for word in head[-8:]):
        return len(head) > 1 or head[0] not in _NAMES_OF_VALUES
    if head[0].startswith("./"):
        return True
    return opener in (";", "&") and len(head) >= 6


RULES: Final = (
    Rule("command.signature", "a command line that takes a machine over or destroys it", POSIX),
    Rule("command.windows", "a command line of Windows that loads or runs code", WINDOWS),
    Rule("command.chain", "a command behind a value", (_CHAINS,), _is_behind_a_value),
    Rule("command.substitution", "a command whose output takes its place", _SUBSTITUTIONS, _is_behind_a_value),
    Rule(
        "command.chain",
        "a command behind a value, once the shell has taken its quotes away",
        (
            r"(?:;|\|\|?|&&?|`|\$\()[\s({]{0,6}(?:\\[a-z]|''[a-z]|\"\"[a-z]|"
            r"[a-z/]{1,16}(?:''|\"\"|\\[a-z]|['\"][a-z]{1,16}['\"]|\$[@*{(]|``|\^[a-z]|\$u\b))",
        ),
        _is_behind_when_opened,
    ),
)
"""The rules of this family."""
