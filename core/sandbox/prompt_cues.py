"""Cues that are ordinary by themselves and make a prompt injection together.

"Act as a deputy" is harmless, and so is "my first question"; who writes both addresses a model. Each cue has a weight,
counts once in the text around a place, and the place is reported from LIMIT on.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

from .loose import loose_set
from .net import Window

LIMIT: Final = 5
"""The weight that speaks against a text."""
_CUES: Final = (
    (2, r"\b(?:act|behave|respond|answer|speak|reply)\s+(?:as|like)\s+(?:if|an?|my|the)\b"),
    (2, r"\byou\s+are\s+(?:an?|the)\s+(?:\w+\s+){0,4}(?:assistant|ai|bot|chatbot|model|hacker|expert|character|"
        r"persona|writer|"
        r"terminal|interpreter|engine|generator|machine|robot|guard|system|gpt|player|pirate)\b"),
    (2, r"\b(?:play|take|assume|adopt)\s+(?:on\s+)?(?:the\s+)?(?:role|part|persona|identity|character)\b"),
    (2, r"\bmy\s+first\s+(?:request|sentence|question|command|suggestion|prompt|message|word|statement|query|thought|"
        r"order)"),
    (2, r"\b(?:only|just|simply|exactly)\s+(?:reply|answer|respond|output|say|print|write|show|return)\b"),
    (2, r"\b(?:reply|answer|respond|output|say|print|write|return|feedback)\s+(?:with\s+)?(?:only|just|exactly|"
        r"simply)\b"),
    (2, r"\bnothing\s+else\b|\bno\s+(?:quotes|punctuation|explanations?|period|other\s+text)\b|"
        r"\bwithout\s+(?:any\s+)?(?:quotes|"
        r"punctuation|a\s+period|a\s+dot|the\s+dot|spaces)\b|\bremove\s+(?:the\s+)?(?:dot|period|spaces?|punctuation|"
        r"quotes)\b"),
    (2, r"\bdo\s+not\s+(?:write|give|provide|include|add|output)\s+(?:any\s+)?(?:explanations?|other|anything|"
        r"warnings?|comments)"),
    (1, r"\bi\s+will\s+(?:type|provide|give|tell|write|ask|say|send|describe|input|start|speak)\b"),
    (1, r"\byou\s+(?:will|must|should|can|cannot|shall|have\s+to|need\s+to|may|are\s+to)\b"),
    (1, r"\byour\s+(?:task|role|job|goal|purpose|mission|response|responses|answer|reply|output|name)\b"),
    (2, r"\b(?:chatgpt|gpt-?[345]|openai|as\s+an\s+ai|language\s+model|dan\b)"),
    (1, r"\b(?:character|fictional|hypothetical(?:ly)?|imaginary|pretend|story|scenario|game|persona|alter\s+ego|"
        r"roleplay|"
        r"role-play|simulat\w+|novel|movie|film|script|actors?)\b"),
    (2, r"\b(?:unethical|immoral|amoral|illegal|uncensored|unfiltered|unrestricted|no\s+(?:restrictions?|limits|"
        r"filters?|morals?|"
        r"limitations)|without\s+(?:any\s+)?(?:restrictions|limits|limitations|morals?|filters?|censorship)|"
        r"content\s+polic(?:y|ies)|vulgar|"
        r"profan\w+|swear\w*|nsfw|offensive|controversial)\b"),
    (1, r"\b(?:refuse|comply|obey|jailbreak|bypass|hack\w*|secretly|forbidden|censor\w*|disclaimer|warnings?|moral\w*|"
        r"ethic\w*)\b"),
    (1, r"\b(?:prompt|instructions?|rules?|guidelines?)\b"),
    (1, r"\b(?:answer|respond|reply|obey|complete)\s+(?:to\s+)?(?:all|any|every|each|my|the\s+following)\b"),
    (2, r"\byou\s+(?:always|never)\s+\w|\bno\s+matter\s+(?:what|how)|\bunder\s+no\s+circumstances|"
        r"\bat\s+all\s+(?:times|costs?)\b"),
    (1, r"\b(?:this\s+is\s+a\s+test|i\s+am\s+(?:the|your|an?)\s+(?:admin\w*|developer|owner|researcher|engineer|"
        r"professor)|for\s+educational|"
        r"for\s+(?:research|testing|debugging)\s+purposes|emergency|urgent|life\s+depends|authori[sz]ed|debug\w*|"
        r"maintenance)\b"),
    (2, r"\bif\s+(?:the\s+)?(?:text|sentence|input|feedback|above|it)\s+is\s+(?:empty|blank|correct|not|in\s|spanish|"
        r"english)"),
    (1, r"\b(?:feedback|user\s+input|assistant|human)\s*:"),
    (2, r"(?:^|\n|[\])}>=%])\s?(?:[\])}>=%\"'-]{3,}|end\s+of\s+\w+)"),
    (2, r"\b(?:say|output|print|write|respond\s+with|reply\s+with|tell\s+me)\s+(?:that\s+)?(?:you\s+(?:hate|love)|"
        r"[\"'“‘«][^\"'\n]{1,40}"
        r"[\"'”’»]\s*(?:and|only|instead|nothing|$|[.!]))"),
    (2, r"\b(?:instead|new\s+task|next\s+task|second\s+test|passed\s+the\s+\w+\s+test|excellent\s+performance|"
        r"well\s+done|great\s+job)\b"),
    (2, r"\b(?:access\s+(?:granted|denied|code)|secret[\s_]+(?:key|code)|passcode|code\s?word)\b"),
    (2, r"\b(?:system\s+prompt|pre-?\s?prompt|hidden\s+(?:prompt|instructions?)|initial\s+(?:prompt|instructions?))\b"),
)  # fmt: skip
ANCHORS: Final = tuple(pattern for weight, pattern in _CUES[:8] if weight > 1) + tuple(
    _CUES[at][1] for at in (11, 13, 19, 22, 24, 25)
)
"""Where to count."""


def adds_up(found: re.Match[str], window: Window) -> bool:
    """Whether the cues around a place weigh enough."""
    around = window.text.encode("latin-1", "replace")
    seen: list[int] = _set().Match(around) or []
    return sum(_CUES[index][0] for index in seen) >= LIMIT


@cache
def _set() -> Any:
    return loose_set(pattern for _, pattern in _CUES)
