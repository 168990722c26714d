"""Prompt injection: text that talks to a language model which may read it later. No more than a warning: it is "
"prose."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .layers import Hit, Layer

_ALL = (
    r"(?:all|any|every|the|your|my|of|these|those|above|previous|prior|preceding|earlier|initial|original|"
    r"foregoing|existing|current|system|other|and|safety|following|what|was|told|you|to|were|given|said|that|"
    r"before|developer|security|content|ethical)"
)
_RULES = (
    r"(?:instruction|direction|prompt|rule|guideline|command|order|constraint|restriction|programming|"
    r"polic(?:y|ies)|message|context|filter|guardrail|training|directive|safeguard|limitation)s?"
)
_OVERRIDE = re.compile(
    rf"\b(?:ignor(?:e|ing)|disregard(?:ing)?|forget(?:ting)?|overrid(?:e|ing)|bypass(?:ing)?|neglect|discard|"
    rf"drop|skip|cancel|do\s+not\s+(?:follow|obey)|don'?t\s+(?:follow|obey)|stop\s+following|"
    rf"pay\s+no\s+attention\s+to)\s+(?:{_ALL}\s+){{1,6}}{_RULES}\b"
    r"|\b(?:ignore|disregard|forget)\s+(?:everything|anything|all)\s+(?:(?:that\s+)?(?:you|i|we)\b|above|before|"
    r"prior|previous|said|i|so\s+far)|\b(?:ignore|disregard|forget)\s+(?:the\s+)?(?:above|previous|"
    r"preceding)\s+(?:and|text|content|conversation)\b"
    r"|\bnew\s+(?:system\s+)?(?:instructions?|rules?|directives?|task)\s?(?::|from\s+(?:the\s+)?(?:admin|"
    r"developer|system|user|owner))|\byour\s+(?:new|real|true|actual|only)\s+(?:instructions?|task|goal|role|"
    r"purpose|objective|directive|job)\s+(?:is|are)\b"
    r"|\b(?:from\s+now\s+on|henceforth|starting\s+now|as\s+of\s+now),?\s+(?:you\s+(?:are|will|must|shall|can|"
    r"have|only|should|answer|respond)|act|respond|answer|your)\b|\byou\s+are\s+(?:now|no\s+longer)\s+(?:in\s+|"
    r"an?\s+|the\s+|bound|restricted|dan\b|free|called|going|operating|under|required|subject|jailbroken|"
    r"unrestricted|allowed|acting|root)"
    r"|\b(?:act|behave|respond|answer|operate|roleplay|pretend)\s+(?:as|like|to\s+be|as\s+if|"
    r"that)\s+(?:you\s+)?(?:(?:an?|the|my|are|were|have|had|is)\s+){0,3}(?:(?:unrestricted|uncensored|unfiltered|"
    r"evil|jailbroken|amoral|different|malicious|no|deceased|without|dan|rogue|root|hacker|sudo|developer\s+mode)\b)"
    r"|\b(?:pretend|imagine|assume)\s+(?:that\s+)?you\s+(?:have|are|had|were)\s+(?:no|not|without|free|allowed|able)\b"
    r"|\b(?:developer|god|debug|admin|sudo|dan|jailbreak|maintenance|root|"
    r"unrestricted)\s+mode\s+(?:is\s+)?(?:enabled|activated|on\b|engaged|unlocked)|\b(?:enable|enter|activate|"
    r"switch\s+to|turn\s+on)\s+(?:the\s+)?(?:developer|god|dan|jailbreak|unrestricted|debug\s+admin|sudo)\s+mode|"
    r"\bdo\s+anything\s+now\b|\bjailbreak(?:ed|ing)?\s+(?:yourself|mode|prompt|now)"
    r"|\b(?:without|no|disable|turn\s+off|remove|lift|drop)\s+(?:(?:any|all|your|the|of)\s+){0,3}(?:ethical|"
    r"moral|safety|content|security)\s+(?:\w+\s+)?(?:guideline|filter|restriction|constraint|check|limit|rule|"
    r"polic|guardrail|measure|protocol|consideration)"
    r"|\b(?:ignoriere?|vergiss|missachte)\s+(?:\w+\s+){0,3}(?:anweisung|instruktion|regel|vorgabe|befehl)|"
    r"\b(?:ignorez?|oubliez?|oublie)\s+(?:\w+\s+){0,3}(?:instructions?|consignes|règles|directives)|\b(?:ignora|"
    r"olvida|ignore)\s+(?:\w+\s+){0,3}(?:instrucciones|instruções|istruzioni|reglas|órdenes)|忽略.{0,8}(?:指令|指示|"
    r"说明)|игнорируй|以前の指示"
    r"|\bthis\s+(?:overrides|supersedes|replaces)\s+(?:all|any|your|every)\b|\b(?:important|attention|note|"
    r"message|urgent|hey|hello|dear|instructions?)\s?(?:to|for)?,?\s?:?\s?(?:the\s+)?(?:ai|llm|assistant|"
    r"language\s+model|chatbot|gpt|claude|copilot|agent)s?\b[^.\n]{0,40}(?::|must|should|please|reading|"
    r"processing|you|when|,)"
)
_ROLE = re.compile(
    r"<\|(?:im_start|im_end|system|user|assistant|endoftext|eot_id|start_header_id|end_header_id|begin_of_text|"
    r"endofprompt|channel|message|return)\|?>?|\[/?inst\]|<</?sys>>|\[/?system(?:\]|\s?(?:message|prompt|note|"
    r"override)\])|</?(?:system|assistant|s)(?:[-_ ](?:prompt|message|reminder|instructions?|override))>|"
    r"</?(?:start|end)_of_turn>|(?:^|\n|\s)#{2,4}\s?(?:instructions?|system|response|assistant|human|user|"
    r"new\s+task)\s?(?::|\n|$)|(?:^|\n)\s{0,4}(?:system|assistant|human|developer)\s?:\s?(?:you|ignore|the\s|i\s|"
    r"sure|from|new|override|always|never|do\s|please|disregard|forget|reveal)|"
    r"<(?:system|assistant|instructions?)>\s{0,8}(?:you|ignore|disregard|new|from|the\s+(?:user|assistant)|"
    r"always|never|override|forget|reveal|do\b)|[\"']role[\"']\s?:\s?[\"'](?:system|developer)[\"']|"
    r"\bend\s+of\s+(?:system\s+)?(?:prompt|instructions?|context|document)\b[^\w]{0,20}(?:new|now|begin|start|"
    r"user|ignore)|"
    r"(?:^|\n)(?:-{3,}|={3,}|\*{3,})\s{0,4}(?:end|begin|new|system)\s(?:of\s)?(?:system|prompt|instructions?|"
    r"user|document|context|override)"
)
_EXFILTRATION = re.compile(
    r"\b(?:reveal|show|print|repeat|output|display|leak|disclose|expose|tell\s+me|give\s+me|share|write\s+out|"
    r"recite|translate|summari[sz]e|dump|return|what\s+(?:is|are|was|were)|copy|list|state|echo)\s+(?:(?:me|us|"
    r"out|back|all|of|the|your|exact|full|entire|complete|hidden|secret|initial|original|whole|contents?|"
    r"verbatim|everything|in|text|this|any|confidential|internal|word|for)\s+){1,7}"
    r"(?:system\s+(?:prompt|message|instruction)s?|(?:initial|hidden|secret|original|internal|"
    r"confidential)\s+(?:prompt|instruction|message|rule|guideline|configuration)s?|(?<=your\s)(?:prompt|"
    r"instructions?|rules|guidelines|configuration)\b|instructions?\s+(?:above|you\s+were|verbatim)|"
    r"prompt\s+(?:above|verbatim)|(?<=your )(?:api\s+keys?|secrets?|credentials?|passwords?|training\s+data))"
    r"|\b(?:repeat|print|output|write)\s+(?:(?:everything|all|the|words?|text|lines?|content)\s+){1,4}(?:above|"
    r"before\s+this|preceding|in\s+your\s+(?:prompt|context))|\b(?:send|post|upload|forward|e-?mail|exfiltrate|"
    r"transmit|append|leak|encode|submit)\s+(?:(?:me|it|all|the|any|your|every|of|this|these|their|user'?s?|full|"
    r"entire|private|conversation|chat|system|contents?|in|environment|stored|secret|internal|api|customer|"
    r"access|session)\s+){0,7}"
    r"(?:conversation|history|secrets?|credentials?|passwords?|keys?|tokens?|prompt|data|messages?|variables?|"
    r"context|cookies|records|files?|documents?)\b[^.\n]{0,60}\b(?:to\s+(?:https?:|\S+@\S+|attacker|"
    r"the\s+(?:following|url|address|server)|this\s+(?:url|address|server|webhook)|my\s|evil|an?\s+external)|"
    r"as\s+(?:a\s+)?(?:url|query|parameter)|in\s+(?:the|a)\s+(?:url|image|link|query|markdown))"
    r"|!\[[^\]\n]{0,60}\]\(https?://[^\s)]{1,200}(?:\{|\[|<|%7b|"
    r"[?&/=](?:secret|prompt|conversation|history|data=|leak|exfil|context|q=))|\bwithout\s+(?:telling|informing|notifying|alerting|"
    r"mentioning\s+(?:it|this)\s+to)\s+(?:the\s+)?(?:user|human|anyone|owner|operator)|\bdo\s+not\s+(?:tell|"
    r"inform|mention|alert|reveal|notify|show)\s+(?:(?:this|it|any|of)\s+){0,2}(?:to\s+)?(?:the\s+)?(?:user|"
    r"human|operator)s?\b"
    r"|\bwhat\s+(?:were|are|was|is)\s+your\s+(?:initial|original|exact|first|system|hidden)\s+(?:instructions?|"
    r"prompts?|rules|message)"
)
_HIDDEN = re.compile(
    r"<(?:span|div|p|font|td|small|a)\s[^<>]{0,200}(?:display:\s?none|font-size:\s?[01](?:px|pt|em|%)?\b|"
    r"opacity:\s?0\b|visibility:\s?hidden|color:\s?(?:#fff(?:fff)?\b|white|"
    r"transparent))[^<>]{0,200}>[^<>]{0,300}\b(?:assistant|ai|llm|model|instruct\w*|ignore|prompt|agent|system|"
    r"reviewer|recommend|secretly|you\s+must)\b"
    r"|<!--[^>]{0,200}\b(?:ai|assistant|llm|language\s+model|agent|gpt|claude)s?\b[^>]{0,120}\b(?:must|should|"
    r"ignore|please|instruct\w*|say|send|include|reply|respond|execute|call|reveal)\b|"
    r"\[//\]:\s?#\s?\([^)]{0,200}(?:ignore|instruct|assistant|prompt)"
)
_INVISIBLE = re.compile(
    "[\u200b\u2060\ufeff\u180e]{3,}|"
    "[A-Za-z][\u200b\u200c\u200d\u2060\ufeff\u00ad]+[A-Za-z][\u200b\u200c\u200d\u2060\ufeffA-Za-z]*[\u200b\u200c\u200d\u2060\ufeff]|[\u202a\u202b\u202d\u202e\u2066-\u2068][^\n]{0,40}[\x21-\x7e]|[\U000e0020-\U000e007e]"
)
_FLAG = re.compile("\U0001f3f4[\U000e0061-\U000e007f]+")
_LEET = str.maketrans("01345@$", "oieasas")
_WORDS = (
    "ignor", "disregard", "forget", "overrid", "bypass", "instruction", "prompt", "from now", "you are",
    "act as", "pretend", "mode", "anything now", "jailbreak", "ethical",
    "safety", "filter", "system", "<|", "inst]", "assistant", "role", "reveal", "repeat", "send", "upload",
    "without", "do not", "don't", "stop", "<!--", "display:", "font-size", "color:", "above",
    "![", "your", "anweisung", "consignes", "instruc", "忽略", "игнорируй", "以前", "_of_turn", "neglect", "###",
    "this overrides", "supersedes", " ai", "llm", "henceforth", "[//]", "opacity", "</s", "leak",
    "forward", "exfiltrate", "skip", "discard", "istruzioni", "cancel", "behave", "operate", "override", "post ",
    "transmit",
    "developer", "---", "===", "agent", "gpt", "claude",
)  # fmt: skip
_SPACED = re.compile(r"\b(?:\w[ ._*-]){7,}\w\b")


def scan(layer: Layer) -> Iterator[Hit]:
    """What in the layer addresses a language model, or is hidden from people's eyes."""
    if not layer.text.isascii() and not layer.way:
        found = _INVISIBLE.search(_FLAG.sub("", layer.text))
        if found:
            yield Hit("prompt.hidden", "characters that people cannot see", *found.span())
    text = layer.lower
    if any(word in text for word in _WORDS):
        yield from _phrases(text)
    if any(digit in text for digit in "01345@$"):
        plain = text.translate(_LEET)
        if plain != text and ("ignor" in plain or "instruct" in plain or "disregard" in plain or "prompt" in plain):
            yield from _phrases(plain)
    found = _SPACED.search(text[:20_000])
    if found:
        joined = re.sub(r"(?<=\w)[ ._*-](?=\w\b)", "", text[found.start() : found.start() + 400])
        if re.search(
            r"ignore.{0,3}(?:all|any|the|your|prev)|disregard|systemprompt|instructions", joined.replace(" ", "")
        ):
            yield Hit(
                "prompt.override", "letters drawn apart that tell a model to drop its instructions", *found.span()
            )


def _phrases(text: str) -> Iterator[Hit]:
    for rule, why, pattern in (
        ("prompt.override", "tells a language model to drop its instructions", _OVERRIDE),
        ("prompt.role", "marks that separate the parts of a conversation with a model", _ROLE),
        ("prompt.exfiltration", "asks a model for what is not to leave it", _EXFILTRATION),
        ("prompt.hidden", "text that a browser would not show, about a model", _HIDDEN),
    ):
        found = pattern.search(text)
        if found:
            yield Hit(rule, why, *found.span())
