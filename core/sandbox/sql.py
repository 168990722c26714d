"""SQL injection: from places where an attack could begin, tokens are read and judged.

What makes an attack of SQL is that it breaks out of a value: a quote that closes nothing, a condition that is always
true, a second statement behind a value. A text that is a whole statement from its first word on is no attack by
itself, so of it only what such statements hardly ever hold is reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from .layers import Hit, Layer

_PREFILTER: Final = (
    "'", "=", '"', "--", "/*", ";", "union", "select", "sleep", "waitfor", "benchmark", " or ", " and ", "||", "&&",
    "having",
    "@@", "[$", '"$', "order by", "load_file", "procedure", "extractvalue", "updatexml", "(select", "outfile", "like",
)  # fmt: skip
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
_BOOLEAN = re.compile(
    r"(?:(?<![\w.])(?:or|and|xor|having|where|not)(?![\w.])|\|\||&&|(?<=\d)(?:or|"
    r"and)(?=\s))(?=[\s(+/*!~'\"-]{0,12}[\w'\"(@!~-])"
)
_STATEMENT = re.compile(
    r"\s*(?:begin|commit|start\s+transaction)\s*;|\s*(?:\"{1,3})?(?:\(\s*)?(?:--[^\n]*\n\s*)?(?:select|insert|update|delete|create|alter|drop|with|explain|begin|grant|"
    r"revoke|truncate|merge|call|set|use|show|"
    r"replace|analyze|vacuum|commit|declare|pragma)\s+[\w*(\"`@']"
)
_UNION = re.compile(
    r"(?<![a-z_])union[\s(]+(?:(?:all|distinct|distinctrow)[\s(]+)?(?:select|values)\b\s*(.{0,120})", re.S
)
_STACKED = re.compile(
    r";\s*(?:drop\s+(?:table|database|schema|user|view|index|function|procedure|login|role)\b|delete\s+from\s+\w|"
    r"insert\s+into\s+\w"
    r"|update\s+[\w.\"`\[\]]{1,60}\s+set\s+\w|alter\s+(?:table|user|login|database|role)\b|create\s+(?:table|"
    r"user|login|or\s+replace|function|database|role|alias|trigger)\b"
    r"|exec(?:ute)?\s*(?:\(|\s(?:master|xp_|sp_|@|immediate|'))|shutdown\b|truncate\s+(?:table\s)?\w|"
    r"grant\s+\w{2,20}\s+(?:on|to)|declare\s+@|waitfor\s+(?:delay|time)|"
    r"select\s+(?:[\w*,@.\s'\"()]{1,80}\s+from\s+\w|pg_sleep|sleep|benchmark|@@|load_file|version|current_user|"
    r"user|\d)|copy\s+[\w(]|merge\s+into|set\s+@|call\s+\w+\(|attach\s+database|"
    r"if\s*\(|begin\s+(?:dbms|waitfor|declare)|rename\s+table|use\s+master|backup\s+database|replace\s+into|"
    r"union\s+select|vacuum\b|do\s+\$|load\s+data)"
)
_BREAKOUT = re.compile(r"(['\"`])[)\s;]{0,12}(?:--(?=[\s+\-'\"]|$)|#(?=\s{0,4}$)|/\*|;%00|;\x00|%00)")
_TIME = re.compile(
    r"^\W{0,4}(?:pg_)?sleep\s?\(['\"]?\d{1,9}['\"]?\)\s{0,4}(?:--|#|=|['\"])|^pg_sleep\s?\(\d+\)|&&\s{0,4}sleep\s?\(\d|"
    r"(?:\b(?:and|or|xor|select|if|when|then|else|case|having|by|where)|[,'\"=+\-*/^|"
    r"()])[\s('\"]{0,8}(?:sleep\s?\(\s?['\"(]?\d|pg_sleep\s?\()"
    r"|\bselect\s+pg_sleep|\bbenchmark\s?\(\s?\d{3,}|\bwaitfor\s+(?:delay|time)\s+['\"n]|dbms_(?:pipe|lock|"
    r"session)\.(?:receive_message|sleep)|randomblob\s?\(\s?\d{5,}|"
    r"generate_series\s?\(\s?1\s?,\s?\d{6,}|\bdelay\s+'0?0:0?0:\d"
)
_PROBE = re.compile(
    r"\bextractvalue\s?\(\s?\w+\s?,|\bupdatexml\s?\(\s?\w+\s?,|\bxp_(?:cmdshell|dirtree|regread|"
    r"fileexist)\b.{0,4}['\"(\s]|(?<!\.)\bload_file\s?\(|\binto\s+(?:out|dump)file\b|"
    r"\butl_(?:http|inaddr|file|smtp)\.\w|\bctxsys\.|\bprocedure\s+analyse\s?\(|\bload_extension\s?\(|"
    r"\bexp\s?\(\s?~|\bfloor\s?\(\s?rand\s?\(\s?0|"
    r"^\W{0,4}order\s+by\s+\d{1,6}\s{0,4}$|\border\s+by\s+\d{1,6}\s{0,4}(?:--|#|/\*|\)?\s?;?\s?%00)|\bgroup\s+by\s+[\w.,\s]{1,60}\s+having\s+['\"\d(]|"
    r"(?<![\w.])@@(?:version|hostname|datadir|servername|global)\b.{0,4}(?:--|,|\)|$)|"
    r"\b(?:and|or|xor|\|\||&&)\s{0,4}[!~(]{0,3}\s{0,4}\(?\s{0,4}(?:exists\s{0,4}\(\s{0,4})?\(?\s{0,4}select\b|"
    r"\b(?:and|or)\s{1,4}(?:not\s{1,4})?(?:ascii|ord|length|substring|substr|mid|char_length|if|elt|make_set|hex|"
    r"convert|cast|chr|rlike|row|user_name|db_name)\s?\(|"
    r"(?:\|\||[+\-*/,=(^])\s{0,4}\(\s{0,4}select\s+(?:[\w()*@'.,\s\"|]{1,80}from\b|[@'(\d]|user|version|database|"
    r"current|pg_|sleep|char|chr|concat)|"
    r"\bcase\s+when\s+\(?[\w\s=<>'()]{1,60}\)?\s*then\b.{0,80}\bend\b\s{0,4}(?:\)|--|#|$)|\bconcat\s?\(\s?0x|"
    r"\bchar\s?\(\s?\d+\s?(?:,\s?\d+\s?){2,}\)|\bjson_keys\s?\(\s?\(?select|convert\s?\(\s?int\s?,"
)
_NOSQL = re.compile(
    r"^[^\w]{0,4}\$(?:ne|gt|gte)['\"]?\s?:\s?(?:null|['\"]|-?\d)|['\"]\s?;\s?(?:sleep\s?\(|return\b|it\s?=|while\s?\()|"
    r"\$or['\"]?\s?:\s?\[\s?\{\s?\}|''\s?\}\s?\],|"
    r"\[\$(?:ne|gt|lt|gte|lte|regex|where|exists|in|nin|or|and|not)\]|[\"']?\$where[\"']?\s?:\s?[\"']|"
    r"[\"']\$(?:ne|gt|gte)[\"']\s?:\s?(?:null|[\"']{2}|-?\d{1,3}\s?\}|undefined|true|1\b)|"
    r"[\"']\$regex[\"']\s?:\s?[\"']\^?\.\*|'\s?\|\|\s?'?\w{1,12}'?\s?={2,3}\s?'?\w|;\s?return\s(?:true|this)|"
    r"'\s?&&\s?this\.\w|\|\|\s?1\s?==\s?1|true,\s?\$where|[\"']\$(?:func|function|accumulator)[\"']"
)
_ORDER = frozenset({"<", ">", "<=", ">="})
_WAITING = ("sleep", "benchmark", "waitfor", "dbms_", "randomblob", "generate_series", "delay")
_PROBING_WORDS: Final = (
    "extractvalue|updatexml|xp_|load_file|outfile|dumpfile|utl_|ctxsys|analyse|load_extension|exp(|exp (|"
    "floor|order by|having|@@|select|ascii|ord(|length|substr|mid(|if(|elt(|make_set|hex|convert|cast|chr|"
    "rlike|row(|user_name|db_name|case when|concat|char|json_keys|user("
)
_PROBING = tuple(_PROBING_WORDS.split("|"))
_CONSTANTS = frozenset({"true", "false", "null", "1", "0"})


def scan(layer: Layer) -> Iterator[Hit]:
    """Signs of SQL injection in the layer."""
    text = layer.lower
    if not any(mark in text for mark in _PREFILTER) and not text.startswith(("or ", "and ")):
        return
    text = _without_comments(text)
    statement = _STATEMENT.match(text) is not None
    yield from _conditions(text, statement)
    found = _UNION.search(text)
    if found and _is_union(found, text, statement):
        yield Hit("sql.union", "UNION SELECT appends rows of another table", *found.span())
    found = _STACKED.search(text)
    if found and _is_stacked(found, text, statement, layer.is_bare):
        yield Hit("sql.stacked", "a second statement behind a value", *found.span())
    for found in _BREAKOUT.finditer(text):
        if _breaks_out(found, text):
            yield Hit("sql.comment", "a quote that ends a value, and a comment that hides what follows", *found.span())
            break
    found = _TIME.search(text) if any(word in text for word in _WAITING) else None
    if found and not (statement and found[0].startswith("(")):
        yield Hit("sql.time", "a function that makes the database wait", *found.span())
    found = None if statement or not any(word in text for word in _PROBING) else _PROBE.search(text)
    if found:
        yield Hit("sql.probe", "an expression by which databases are probed", *found.span())
    found = _NOSQL.search(text)
    if found:
        yield Hit("sql.operator", "an operator of a document database in place of a value", *found.span())


def _without_comments(text: str) -> str:
    """`text` with blanks for SQL comments and MySQL's conditional ones, at the same places."""
    last = text.rfind("*/")
    if last < 0 or "/*" not in text:
        return text
    blanked = _COMMENT.sub(lambda found: " " * len(found[0]), text[:last])
    return blanked + "  " + text[last + 2 :]


# The text ends before its last */, so the search for an end never runs through text that has none.
_COMMENT = re.compile(r"/\*!(?:\d{5})?|/\*[^*]*+(?:\*(?!/)[^*]*+)*+(?:\*/|$)|\*/")


def _conditions(text: str, statement: bool) -> Iterator[Hit]:
    for found in _BOOLEAN.finditer(text):
        if statement and found[0] in ("where", "not", "and"):
            continue
        if _is_constant_condition(text, found):
            yield Hit("sql.tautology", "a condition that does not depend on any row", found.start(), found.end() + 20)
            return
    found = _DANGLING.search(text)
    if found and not statement:
        yield Hit("sql.tautology", "quotes and operators that turn a comparison around", *found.span())


_DANGLING = re.compile(
    r"^[\w@. -]{0,40}['\"]\s{0,4}(?:=|\|\||-|\^|\*|\+|<|>|like|<>|&|\||%|/|mod|"
    r"div)\s{0,4}['\"]{1,2}[\w ]{0,10}['\"]?(?:\s{0,4}(?:=\s?['\"]?|--.*|#))?$"
    r"|'\s?=\s?'\s?'?\s?(?:or|and|limit)\b|'=0--|'='\s{0,2}'or|^[\w@. -]{0,40}['\"]\)*\s{1,4}(?:or|and|xor|\|\||"
    r"&&)\s{1,4}\(?['\"]?[\w=<>'\" ()]{0,40}['\"]?\s?(?:--|#|/\*|;|limit\b)"
    r"|^\W{0,4}(?:or|and)\s.{1,40}(?:--|#)\s{0,4}$|^['\"]\s{0,4}(?:or|and|xor)\s{0,4}['\"]|^(?:or|and)\s(?:true|false|1)$"
    r"|^['\"]\)*[;\s]\s{0,4}(?:insert\s+into|create\s+user|delete\s+from|exec\s|grant\s|drop\s+table|update\s\w+\sset)\b"
    r"|^[\w@.-]{0,40}['\"]\)*\s{0,3}(?:or|xor|\|\||&&|and)\s{0,3}(?:\d{1,6}|true|false|not\s\w{1,9}|'[^']{0,10}'|"
    r"[\w.]{1,20}\s?(?:like|is|in|=|<|>|between)\s?.{1,30})['\"]?$"
)


def _is_constant_condition(text: str, found: re.Match[str]) -> bool:
    """Whether behind a boolean operator two constants, or twice the same name, are compared."""
    left: list[str] = []
    right: list[str] = []
    operator = ""
    in_sql = found.start() < 24 and any(mark in text for mark in ("'", '"', "--", "#"))
    word = found[0]
    for token in _TOKEN.finditer(text, found.end(), min(len(text), found.end() + 160)):
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
    before = text[max(0, found.start() - 24) : found.start()].rstrip()
    breaks_out = before.endswith(("'", '"', ")", "`")) or before.isdigit()
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
    if all(_is_constant(part) or part in "+-*/" for part in left) and (_is_constant(right[0]) or right[0] == "null"):
        # `3 < 5 and 7 > 2` is mathematics.
        return operator not in _ORDER or left[0][0] in "'\"" or in_sql
    return operator in ("=", "==", "like") and left == right and left[0][0] not in "@$" and len(left[0]) <= 32


def _is_constant(token: str) -> bool:
    return token[0] in "'\"0123456789" or token in _CONSTANTS


def _is_union(found: re.Match[str], text: str, statement: bool) -> bool:
    after = found[1]
    looks = re.match(
        r"[\d'\"@(*]|null\b|\w+\s?[,(]|\w+\s+from\b|char|concat|version|database|user\b|group_concat|table_name|"
        r"column_name|top\s\d|load_file|unhex|\W*$",
        after,
    )
    if not looks or not statement:
        return looks is not None
    return "information_schema" in after or re.match(r"(?:null|\d+)\s?,\s?(?:null|\d+|@@)", after) is not None


def _is_stacked(found: re.Match[str], text: str, statement: bool, bare: bool) -> bool:
    if not statement:
        before = text[max(0, found.start() - 64) : found.start()].rstrip()
        # A value, not a sentence or a line of code.
        return bare or before == "" or before[-1] in "'\")`0123456789" or len(before.split()) <= 3
    first = text.split(None, 1)[0]
    return first == "select" and re.match(r";\s*(?:drop|shutdown|truncate|exec)", found[0]) is not None


def _breaks_out(found: re.Match[str], text: str) -> bool:
    """Whether the quote closes what this text did not open."""
    start = max(text.rfind("\n", 0, found.start()) + 1, found.start() - 200)
    if text[max(0, found.start() - 1)] == "\\":
        return False
    return text.count(found[1], start, found.start()) % 2 == 0 and (
        found.start() == start or text[found.start() - 1] not in " (=,[{:" or found.start() - start < 2
    )
