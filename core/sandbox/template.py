"""Template injection: what a template engine further on would evaluate.

`${…}` is Refold's own where it is a valid reference; `refold.core.references` says whether it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..references import invalid_references
from .layers import Hit, Layer

_PAIRS = (
    ("{{", "}}", "Jinja, Handlebars and the like"),
    ("{%", "%}", "Jinja, Twig, Liquid"),
    ("<%", "%>", "ERB, ASP, JSP"),
)
_EXPRESSION = re.compile(
    r"[*@%#~=&$]\{\s{0,8}(?:\(?\s{0,4}-?\d{1,9}\s{0,4}\)?\s{0,4}[-*+/%]\s{0,4}['\"(]?-?\d"  # ${7*7}
    r"|['\"][^'\"{}]{0,40}['\"]\s{0,4}[.+*\[]"  # #{'a'.class}
    r"|t\s?\(|new\s|#?_|@|\(#|(?:system|exec|eval|spawn|require|import|runtime|java|class|self|request|session|"
    r"global|process|"
    r"this|open|file|env|dir|print|puts|jndi|sys|script|url|dns|lower|upper|base64|ctx|application|param|"
    r"pagecontext|facescontext)"
    r"\w{0,20}\s{0,4}[.:(\[])"
    r"|[*@#]\{[^{}\n]{0,200}[('\"*][^{}\n]{0,200}\}"
)
_SIGNATURE = re.compile(
    r"(?:\.|[\['\"(]\s?['\"])__(?:mro|bases?|subclasses|globals|builtins)__['\"\])]{0,3}\s?[\[.(]|__(?:class|init)__\s?(?:\.__(?!name|init__\()|\[)"
    r"|\bt\(\s{0,4}java\.|java\.lang\.(?:runtime|processbuilder|class|system|thread)\b.{0,80}(?:exec|start|"
    r"getruntime|forname|getenv|new|invoke)"
    r"|freemarker\.template\.utility|<#assign\s|<#(?:list|if|include|import)\s[^>]{1,200}>|#set\s?\(\s{0,4}\$|"
    r"#(?:foreach|evaluate|include|parse)\s?\(\s{0,4}[\"'$]"
    r"|\$\w{1,30}\.(?:class|getclass|inspect)\b|\{\s{0,4}php\s{0,4}\}|\{\$smarty[.\[]|\{\s{0,4}(?:system|exec|passthru|"
    r"shell_exec|include_php|fetch|literal)\s?\(|"
    r"\{\s{0,4}(?:if|literal)\s[^{}]{0,40}(?:system|exec|phpinfo|passthru|readfile)|"
    r"\{\s?-?\d{1,6}\s?\*\s?-?\d{1,6}\s?\}|\{\s?'[^'{}]{1,20}'\s?\|\s?\w{2,20}\s?\}"
    r"|@\(\s{0,4}\d{1,6}\s?[*+-]\s?\d{1,6}\s?\)|@\{\s{0,4}(?:var|int|system)\b|@system\.|\(\$_(?:get|post|"
    r"request)|\[\[\$?\{|\[=\s?\d|__\$\{"
    r"|<!--#(?:exec|include|echo|config|printenv)\b|<esi:(?:include|inline|debug|vars)|<th:|<#--|\[%\s|"
    r"<\?(?:php\s|=)|constructor\.constructor|\$eval\s?\(|\{@\w+[^{}]{0,80}\}[^{}]{0,80}\{/"
    r"|%\{\(?#|\$\{?jndi:|\{\{=|<jsp:|<c:(?:out|import|set)\s|request\.application\.|\|attr\(|#\{7|\$\$\{\{|"
    r"\(\s?\d{1,6}\s?\*\s?\d{1,6}\s?\)\s?\?\?|root\.process\.mainmodule"
)


def scan(layer: Layer) -> Iterator[Hit]:
    """Expressions of template languages in the layer."""
    text = layer.lower
    if "{" not in text and "<" not in text and "(" not in text and "[" not in text and "__" not in text:
        return
    for opening, closing, engines in _PAIRS:
        hit = _between(text, opening, closing)
        if hit:
            yield Hit("template.expression", f"{opening} … {closing} is evaluated by {engines}", *hit)
            return
    found = _EXPRESSION.search(text) or (_SIGNATURE.search(text) if _ANY.search(text) else None)
    if found:
        yield Hit("template.expression", "an expression that template engines evaluate", *found.span())
    elif "${" in text and (not layer.way or layer.is_bare):
        for at, literal in invalid_references(layer.text):
            if not literal and not layer.way:
                yield Hit("template.reference", "${ begins no valid reference; write $${ for a literal ${", at, at + 40)
                return


_ANY = re.compile(r"__[a-z]|java|<[#!?ejtc]|#[a-z]+\s?\(|\$[\w{$]|[{\[(@][\s$@'%\[=\d:a-z-]|%\{|\w\.process")


def _between(text: str, opening: str, closing: str) -> tuple[int, int] | None:
    """The first `opening` with something before its `closing`, but for what code of other kinds looks like."""
    at = text.find(opening)
    while at >= 0:
        end = text.find(closing, at + 2)
        if end < 0:
            return None
        inner = text[at + 2 : end].strip()
        # style={{color: "red"}} is JSX; \frac{{a}}{b} TeX; {{}} and {%} hold nothing.
        jsx = opening == "{{" and text[max(0, at - 1) : at] == "=" and (":" in inner or inner.startswith("..."))
        tex = opening == "{{" and at and (text[at - 1] == "^" or text[at - 1] == "_")
        if inner and not jsx and not tex:
            return at, end + 2
        at = text.find(opening, end)
    return None
