"""Template injection: what a template engine further on would evaluate.

`${…}` is Refold's own where it is a valid reference; `refold.core.references` says whether it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ..references import invalid_references
from .layers import Layer
from .loose import CUT, Effort
from .net import Rule, Window

_EXPRESSION: Final = (
    r"[*@%#~=&$]\{\s{0,8}(?:\(?\s{0,4}-?\d{1,9}\s{0,4}\)?\s{0,4}[-*+/%]\s{0,4}['\"(]?-?\d|['\"][^'\"{}]{0,40}['\"]"
    r"\s{0,4}[.+*\[]|t\s?\(|new\s|#?_|@|\(#|(?:system|exec|eval|spawn|require|import|runtime|java|class|"
    r"self|request|session|global|process|this|open|file|env|dir|print|puts|jndi|sys|script|url|dns|lower|"
    r"upper|base64|ctx|application|param|pagecontext|facescontext)\w{0,20}\s{0,4}[.:(\[])",
    r"[*@#]\{[^{}\n]{0,200}[('\"*][^{}\n]{0,200}\}",
)
_SIGNATURE: Final = (
    r"\[\s?['\"]__\w{2,20}__['\"]\s?\]",
    r"__(?:include|import)__\s?\(\s?['\"]",
    r"%x\(\s?['\"]|\bsystem\.shell\s?\(",
    r"\{\s?(?:php|var)\s[^{}\n]{1,80}[(=]",
    r"@java\.lang\.|\bprocess\.mainmodule\b",
    r"(?:\.|[\['\"(]\s?['\"])__(?:mro|bases?|subclasses|globals|builtins)__['\"\])]{0,3}\s?[\[.(]",
    r"__(?:class|init)__\s?(?:\.__(?!name|init__\()|\[)",
    r"\bt\(\s{0,4}java\.",
    r"java\.lang\.(?:runtime|processbuilder|class|system|thread)\b.{0,80}(?:exec|start|getruntime|forname|"
    r"getenv|new|invoke)",
    r"freemarker\.template\.utility",
    r"<#assign\s",
    r"<#(?:list|if|include|import)\s[^>]{1,200}>",
    r"#set\s?\(\s{0,4}\$",
    r"#(?:foreach|evaluate|include|parse)\s?\(\s{0,4}[\"'$]",
    r"\$\w{1,30}\.(?:class|getclass|inspect)\b",
    r"\{\s{0,4}php\s{0,4}\}",
    r"\{\$smarty[.\[]",
    r"\{\s{0,4}(?:system|exec|passthru|shell_exec|include_php|fetch|literal)\s?\(",
    r"\{\s{0,4}(?:if|literal)\s[^{}]{0,40}(?:system|exec|phpinfo|passthru|readfile)",
    r"\{\s?-?\d{1,6}\s?\*\s?-?\d{1,6}\s?\}",
    r"\{\s?'[^'{}]{1,20}'\s?\|\s?\w{2,20}\s?\}",
    r"@\(\s{0,4}\d{1,6}\s?[*+-]\s?\d{1,6}\s?\)",
    r"@\{\s{0,4}(?:var|int|system)\b",
    r"@system\.",
    r"\(\$_(?:get|post|request)",
    r"\[\[\$?\{",
    r"\[=\s?\d",
    r"__\$\{",
    r"<!--#(?:exec|include|echo|config|printenv|fsize|flastmod|set)\b",
    r"<esi:(?:include|inline|debug|vars)",
    r"<th:",
    r"<#--",
    r"\[%\s",
    r"<\?(?:php\s|=)",
    r"constructor\.constructor",
    r"\$eval\s?\(",
    r"\{@\w+[^{}]{0,80}\}[^{}]{0,80}\{/",
    r"%\{\(?#",
    r"\$\{?jndi:",
    r"\{\{=",
    r"<jsp:",
    r"<c:(?:out|import|set)\s",
    r"request\.application\.",
    r"\|attr\(",
    r"#\{7",
    r"\$\$\{\{",
    r"\(\s?\d{1,6}\s?\*\s?\d{1,6}\s?\)\s?\?\?",
    r"root\.process\.mainmodule",
)
_CLOSING = {"{{": "}}", "{%": "%}", "<%": "%>"}


def _is_closed(found: re.Match[str], window: Window) -> bool:
    """Whether something stands between the marks, but for what code of other kinds looks like."""
    opening, at, text = found[0], found.start(), window.text
    end = text.find(_CLOSING[opening], at + 2)
    if end < 0:
        # What goes on for longer than a window may end anywhere.
        return text.endswith(CUT[::-1]) and window.piece.last(_CLOSING[opening]) >= window.begin + at
    inner = text[at + 2 : end].strip()
    # style={{color: "red"}} is JSX; \\frac{{a}}{b} TeX; {{}} and {%} hold nothing.
    jsx = opening == "{{" and text[max(0, at - 1) : at] == "=" and (":" in inner or inner.startswith("..."))
    tex = opening == "{{" and at > 0 and text[at - 1] in "^_"
    return bool(inner) and not jsx and not tex


def references(layer: Layer, effort: Effort) -> Iterator[int]:
    """Where in the plan's own text a `${` begins no valid reference."""
    if "${" in layer.text:
        # A literal `$${` of any shape is none.
        effort.spend(layer.text.count("${") // 4)
        for at, literal in invalid_references(layer.text.replace("$${", "   ")):
            if not literal:
                effort.spend(3)
                yield at


REFERENCE: Final = Rule("template.reference", "${ begins no valid reference; write $${ for a literal ${", ())
"""The rule of `references`."""
RULES: Final = (
    Rule("template.expression", "{{ … }} is evaluated by Jinja, Handlebars and the like", (r"\{\{",), _is_closed),
    Rule("template.expression", "{% … %} is evaluated by Jinja, Twig, Liquid", (r"\{%",), _is_closed),
    Rule("template.expression", "<% … %> is evaluated by ERB, ASP, JSP", (r"<%",), _is_closed),
    Rule("template.expression", "an expression that template engines evaluate", (*_EXPRESSION, *_SIGNATURE)),
)
"""The rules of this family."""
