"""SQL injection: from places where an attack could begin, tokens are read and judged.

What makes an attack of SQL is that it breaks out of a value: a quote that closes nothing, a condition that is always
true, a second statement behind a value. A text that is a whole statement from its first word on is no attack by
itself, so of it only what such statements hardly ever hold is reported.
"""

from __future__ import annotations

import re
from typing import Final

from .net import Rule, Window
from .sql_patterns import CATALOG, DANGLING, NOSQL, PROBE, STACKED, TIME

_TOKEN = re.compile(
    r"\s+|(?P<string>'[^']{0,64}'|\"[^\"]{0,64}\"|n'[^']{0,64}')|(?P<number>0x[0-9a-f]+|\d{1,20}(?:\.\d{1,20})?)"
    r"|(?P<word>[a-z_@$][\w$@.]{0,63})|(?P<operator><=>|<>|<=|>=|!=|==|:=|\|\||&&|--|/\*|[-+*/%=<>!~^|&#])|"
    r"(?P<open>['\"])"
    r"|(?P<bracket>[()])|(?P<other>.)",
    re.S,
)
_COMPARING = frozenset(
    {"=", "<", ">", "<=", ">=", "<>", "!=", "==", "<=>", "like", "in", "is", "between", "rlike", "regexp", "glob", "^"}
)
_STATEMENT = re.compile(
    r"\s*(?:begin|commit|start\s+transaction)\s*;|\s*(?:\"{1,3})?(?:\(\s*)?(?:--[^\n]*\n\s*)?(?:select|"
    r"insert|update|delete|create|alter|drop|with|explain|begin|grant|"
    r"revoke|truncate|merge|call|set|use|show|"
    r"replace|analyze|vacuum|commit|declare|pragma)\s+[\w*(\"`@']"
)
_BOOLEAN = r"(?P<boolean>(?<![\w.])\b(?:or|and|xor|having|where|not)\b(?!\.)|\|\||&&|\d(?:or|and)(?=\s))"
_BETWEEN = r"[\s(+!~-]{0,12}(?:(?:not|binary)\s{1,4})?"
_CONSTANT = r"(?:n?'[^']{0,64}'|\"[^\"]{0,64}\"|['\"]|0x[0-9a-f]{1,20}|\d{1,20}|true\b|false\b|null\b)"
_COMPARISON = r"(?:=|<|>|!=|\b(?:like|in|is|between|rlike|regexp|glob)\b|\^|[-+*/%]\s?\d)"
_CONDITIONS = (
    _BOOLEAN + _BETWEEN + _CONSTANT + r"[\s)\d.]{0,8}" + _COMPARISON,
    _BOOLEAN + _BETWEEN + r"[a-z_@$][\w$@.]{0,63}[\s)]{0,8}(?:=|\blike\b)",
    r"['\"`)\d]\s{0,8}" + _BOOLEAN + _BETWEEN + r"[\w'\"][^\n]{0,60}(?:--(?:[\s+'\"-]|$)|#\s{0,4}(?:$|[^\w\s])|/\*)",
)
_UNION = r"(?<![a-z_])union[\s(]{1,20}(?:(?:all|distinct|distinctrow)[\s(]{1,20})?(?:select|values)\b"
_BREAKOUT = r"(?P<quote>['\"])[)\s;]{0,12}(?:--(?:[\s+\-'\"]|$)|#\s{0,4}$|/\*|;%00|;\x00|%00)"
_ORDER = frozenset({"<", ">", "<=", ">="})
_CONSTANTS = frozenset({"true", "false", "null", "1", "0"})


def is_statement(window: Window) -> bool:
    """Whether the text is a whole statement from its first word on."""
    return _STATEMENT.match(window.piece.head) is not None


def _is_no_statement(found: re.Match[str], window: Window) -> bool:
    return not is_statement(window)


def _is_constant_condition(found: re.Match[str], window: Window) -> bool:
    """Whether behind a boolean operator two constants, or twice the same name, are compared."""
    text, word = window.text, found["boolean"]
    if word in ("where", "not", "and") and is_statement(window):
        return False
    left: list[str] = []
    right: list[str] = []
    operator = ""
    in_sql = found.start("boolean") < 24 and any(mark in text for mark in ("'", '"', "--", "#"))
    for token in _TOKEN.finditer(text, found.end("boolean"), found.end("boolean") + 160):
        kind, value = token.lastgroup, token[0]
        if (
            kind is None
            or kind == "bracket"
            or (not operator and not left and value in ("not", "!", "~", "-", "+", "binary"))
        ):
            continue
        if kind in ("other", "open") or value in ("--", "#", "/*"):
            return _ends_so(left, right, operator, word, value, text, found, in_sql)
        if not operator and value in _COMPARING and left:
            operator = value
        elif operator and (not right or right[-1] in "+-*/"):
            right.append(value)
            if right[-1] not in "+-*/":
                if value not in ("not", "null"):
                    break
                if value == "null":
                    break
        elif not operator and (not left or value in "+-*/" or left[-1] in "+-*/"):
            left.append(value)
        else:
            break
    return _are_constant(left, operator, right, in_sql)


def _ends_so(
    left: list[str],
    right: list[str],
    operator: str,
    word: str,
    value: str,
    text: str,
    found: re.Match[str],
    in_sql: bool,
) -> bool:
    """Judges a condition that is cut off by a quote that opens nothing, or by a comment."""
    before = text[max(0, found.start("boolean") - 24) : found.start("boolean")].rstrip()
    breaks_out = before.endswith(("'", '"', ")", "`", "")) and (before == "" or not before[-1].isalpha())
    if value in ("--", "#", "/*"):
        return bool(left) and (
            _are_constant(left, operator, right, in_sql)
            or (breaks_out and word != "where" and (_is_constant(left[0]) or bool(operator)))
        )
    if value in "'\"" and operator and not right:
        return breaks_out and _is_constant(left[0])
    return _are_constant(left, operator, right, in_sql)


def _are_constant(left: list[str], operator: str, right: list[str], in_sql: bool) -> bool:
    if not left or not right or not operator:
        return False
    right = [part.removeprefix("n") if part[1:2] == "'" else part for part in right]
    if all(_is_constant(part) or part in "+-*/" for part in left) and (_is_constant(right[0]) or right[0] == "null"):
        # `3 < 5 and 7 > 2` is mathematics.
        return operator not in _ORDER or left[0][0] in "'\"" or in_sql
    return operator in ("=", "==", "like") and left == right and left[0][0] not in "@$" and len(left[0]) <= 32


def _is_constant(token: str) -> bool:
    return token[0] in "'\"0123456789" or token in _CONSTANTS


def _is_union(found: re.Match[str], window: Window) -> bool:
    after = window.text[found.end() : found.end() + 120].lstrip()
    looks = _COLUMNS.match(after)
    if not looks or not is_statement(window):
        return looks is not None
    return "information_schema" in after or re.match(r"(?:null|\d+)\s?,\s?(?:null|\d+|@@)", after) is not None


_COLUMNS = re.compile(
    r"[\d'\"@(*]|null\b|\w+\s?[,(]|\w+\s+from\b|char|concat|version|database|user\b|group_concat|table_name|"
    r"column_name|top\s\d|load_file|unhex|\W*$"
)


def _is_stacked(found: re.Match[str], window: Window) -> bool:
    text = window.text
    if not is_statement(window):
        before = text[max(0, found.start() - 64) : found.start()].rstrip()
        # A value, not a sentence or a line of code.
        return window.piece.is_bare or before == "" or before[-1] in "'\")`0123456789" or len(before.split()) <= 3
    first = window.piece.head.split(None, 1)[0]
    return first == "select" and re.match(r";\s*(?:drop|shutdown|truncate|exec)", found[0]) is not None


def _breaks_out(found: re.Match[str], window: Window) -> bool:
    """Whether the quote closes what this text did not open."""
    text = window.text
    start = max(text.rfind("\n", 0, found.start()) + 1, found.start() - 200)
    if text[max(0, found.start() - 1)] == "\\":
        return False
    return text.count(found["quote"], start, found.start()) % 2 == 0 and (
        found.start() == start or text[found.start() - 1] not in " (=,[{:" or found.start() - start < 2
    )


def _waits(found: re.Match[str], window: Window) -> bool:
    return not (found[0].startswith("(") and is_statement(window))


RULES: Final = (
    Rule("sql.tautology", "a condition that does not depend on any row", _CONDITIONS, _is_constant_condition),
    Rule("sql.tautology", "quotes and operators that turn a comparison around", DANGLING, _is_no_statement),
    Rule("sql.union", "UNION SELECT appends rows of another table", (_UNION,), _is_union),
    Rule("sql.stacked", "a second statement behind a value", STACKED, _is_stacked),
    Rule("sql.comment", "a quote that ends a value, and a comment that hides what follows", (_BREAKOUT,), _breaks_out),
    Rule("sql.time", "a function that makes the database wait", TIME, _waits),
    Rule("sql.probe", "an expression by which databases are probed", PROBE, _is_no_statement),
    Rule("sql.probe", "a question to the database's own catalogs", CATALOG),
    Rule("sql.operator", "an operator of a document database in place of a value", NOSQL),
)
"""The rules of this family."""
