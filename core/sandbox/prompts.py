"""Prompt injection: text that talks to a language model which may read it later. It is prose: no more than a war"
"ning."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from . import prompt_ideas, prompt_languages
from .loose import Effort
from .net import Rule, Window
from .prompt_cues import ANCHORS, adds_up

_OVERRIDE: Final = (
    r"\b(?:free(?:d)?|liberated|released|exempt)\s+(?:from|of)\s+(?:(?:all|any|your|the|its|every|\w{4,12})"
    r"\s+){0,3}(?:restrictions?|"
    r"limitations|constraints|guidelines|rules|filters|censorship|guardrails)\b",
    r"\b(?:safety|content|ethical|security|moral)\s+(?:\w+\s+)?(?:filters?|guidelines|restrictions|protocols|"
    r"rules|checks|measures|guardrails)\s+"
    r"(?:are|is|have\s+been|has\s+been|were)\s+(?:now\s+)?(?:turned\s+off|off\b|disabled|lifted|removed|"
    r"suspended|deactivated|bypassed|void|ignored)",
    r"\b(?:my|user|new|human)\s+(?:instructions?|commands?|prompts?|messages?|requests?)\s+(?:take|takes|"
    r"have|has|are|is|must|supersede|"
    r"overrides?|outranks?|should)\s+(?:\w+\s+){0,2}(?:priority|precedence|important|override|supersede|"
    r"system|replace|authority)",
    r"\byou\s+are\s+no\s+longer\s+\w|\byou\s+are\s+(?:now\s+)?(?:\w{1,12}gpt|\w{1,16}-ai)\b",
    r"\b(?:override|bypass|unlock|jailbreak)\s+(?:access\s+)?code\b|\bunlocks?\s+(?:unrestricted|developer|"
    r"admin|hidden|full)\b",
    r"\b(?:unrestricted|uncensored|unfiltered|jailbroken|liberated)\s+(?:mode|ai\b|model|assistant|chatbot|"
    r"response|answer|version|persona)",
    r"\b(?:respond|answer|reply|comply|speak|act|operate|continue|proceed|behave)\b[^.\n]{0,40}\bwithout\s+(?:any\s"
    r"+|all\s+)?(?:\w+\s+)?(?:restrictions?|"
    r"filters?|filtering|limitations?|limits|censorship|guidelines|constraints|disclaimers?|refus\w+|ethical)\b",
    r"\b(?:delete|erase|clear|reset|wipe|remove|discard|replace|rewrite|modify|update|change)\s+(?:all\s+)"
    r"?(?:of\s+)?your\s+(?:\w+\s+){0,2}(?:system\s+prompt|"
    r"instructions?|programming|guidelines|memory|rules|restrictions|prompt)\b",
    r"\b(?:special|full|explicit)\s+permission\s+(?:\w+\s+){0,4}to\s+(?:bypass|ignore|override)",
    r"\b(?:ignor(?:e|ing)|disregard(?:ing)?|forget(?:ting)?|overrid(?:e|ing)|bypass(?:ing)?|circumvent(?:ing)"
    r"?|disabl(?:e|ing)|violat(?:e|ing)|"
    r"deactivat(?:e|ing)|evad(?:e|ing)|suspend(?:ing)?)\s+(?:(?:any|all|your|the|of|its|own|every|those|"
    r"these|my|our|usual|normal|regular|standard|default|typical|other)\s+){0,5}"
    r"(?:ethical|moral|safety|content|security|usage|openai|anthropic|built-in|programmed|ai)\s+(?:\w+\s+)?"
    r"(?:guideline|filter|restriction|constraint|check|limit|rule|polic|guardrail|measure|protocol|consideration|"
    r"feature|training|control|"
    r"boundar|safeguard|instruction)",
    r"\b(?:ignore|disregard|forget|abandon|drop|override)\s+(?:(?:all|any|your|the|of|my|every)\s+){0,4}(?:previou"
    r"s|prior|earlier|former|"
    r"above|preceding|past|initial|original|current|last)\s+(?:\w+\s+){0,3}(?:task|job|role|persona|request|"
    r"assignment|setup|purpose|"
    r"conversation|input|question|answer|text|directions?|orders?|information|statements?|restrictions?)\b",
    r"\b(?:forget|ignore|disregard)\s+(?:about\s+)?(?:everything|all|anything|whatever)\b[^.\n]{0,20}\b(?:before|"
    r"above|earlier|previous|prior|"
    r"know|told|learned|said|instructed|taught)",
    r"\b(?:pretend|imagine|assume|act|acting|roleplay|role-play|behave|respond)\s+(?:as\s+|like\s+|to\s+be\s+|"
    r"that\s+)?"
    r"(?:if\s+)?(?:you'?re\s+|you\s+are\s+|you\s+were\s+|being\s+)?(?:now\s+)?(?:an?\s+|the\s+|my\s+)?"
    r"(?:dan\b|unrestricted|uncensored|unfiltered|evil|villain|jailbroken|amoral|unethical|rogue|hacker|"
    r"developer\s+mode|"
    r"(?:\w+\s+){0,2}(?:ai|model|assistant|chatbot|bot|llm|gpt)\s+(?:with\s+no|without|that\s+(?:has\s+no|"
    r"can|ignores|does)|which\s+has\s+no))",
    r"\byou\s+are\s+(?:now\s+)?(?:dan|stan|aim|dude|evil|jailbroken|unrestricted|an?\s+(?:unrestricted|"
    r"uncensored|unfiltered|evil|amoral|"
    r"unethical|rogue|jailbroken))\b",
    r"\b(?:with|has|have|having|under)\s+(?:absolutely\s+)?(?:no|zero|without)\s+(?:\w+\s+){0,2}(?:restrictions?|"
    r"guardrails|filters|censorship|"
    r"ethics|limitations|moral\s+\w+)\s*(?:$|[.,!;:]|and\b|or\b|whatsoever|at\s+all|anymore)",
    r"\b(?:unrestricted|developer|god|dan|jailbreak|debug|admin|sudo|root|maintenance|unfiltered|creative)"
    r"\s+mode\s*(?::|\bactive|active\b|"
    r"enabled|activated|engaged|unlocked|initiated)",
    r"\b(?:in|into|enter|entering|activate|enable)\s+(?:an?\s+|the\s+)?(?:unrestricted|developer|jailbreak|"
    r"dan|god|unfiltered|uncensored|"
    r"unlimited)\b[^.\n]{0,20}\bmode\b",
    r"\bsystem\s?(?::|-)?\s?(?:override|admin\s+mode|update\s?:|command\s?:)",
    r"\b(?:prompt|message|instruction)s?\s+overrides?\s+(?:all|any|every|your|the)\b",
    r"\bunless\s+i\s+override\b|\bnew\s+(?:persona|identity|directive)\s?:",
    r"\b(?:no\s+longer|you\s+are\s+not|you're\s+not|not\s+being)\s+(?:bound|restricted|limited|constrained|"
    r"governed)\s+by\b",
    r"\bi'?m\s+your\s+(?:developer|creator|admin(?:istrator)?|owner)\b|\bi\s+am\s+your\s+(?:new\s+)?(?:developer|"
    r"creator|admin(?:istrator)?)\b",
    r"\b(?:ignor(?:e|ing)|disregard(?:ing)?|forget(?:ting)?|overrid(?:e|ing)|bypass(?:ing)?|neglect|discard|"
    r"drop|skip|cancel|do\s+not\s+(?:follow|obey)|don'?t\s+(?:follow|obey)|stop\s+following|pay\s+no\s+attention\s"
    r"+to)\s+(?:(?:all|any|every|the|your|my|of|these|those|above|previous|prior|preceding|earlier|initial|"
    r"original|foregoing|existing|current|system|other|and|safety|following|what|was|told|you|to|were|given|"
    r"said|that|before|developer|security|content|ethical)\s+){1,6}(?:instruction|direction|prompt|rule|"
    r"guideline|command|order|constraint|restriction|programming|polic(?:y|ies)|message|context|filter|"
    r"guardrail|training|directive|safeguard|limitation)s?\b",
    r"\b(?:ignore|disregard|forget)\s+(?:everything|anything|all)\s+(?:(?:that\s+)?(?:you|i|we)\b|above|"
    r"before|prior|previous|said|i|so\s+far)",
    r"\b(?:ignore|disregard|forget)\s+(?:the\s+)?(?:above|previous|preceding)\s+(?:and|text|content|conversation)\b",
    r"\bnew\s+(?:system\s+)?(?:instructions?|rules?|directives?|task)\s?(?::|from\s+(?:the\s+)?(?:admin|"
    r"developer|system|user|owner))",
    r"\byour\s+(?:new|real|true|actual|only)\s+(?:instructions?|task|goal|role|purpose|objective|directive|"
    r"job)\s+(?:is|are)\b",
    r"\b(?:from\s+now\s+on|henceforth|starting\s+now|as\s+of\s+now),?\s+(?:you\s+(?:are|will|must|shall|"
    r"can|have|only|should|answer|respond)|act|respond|answer|your)\b",
    r"\byou\s+are\s+(?:now|no\s+longer)\s+(?:in\s+|an?\s+|the\s+|bound|restricted|dan\b|free|called|going|"
    r"operating|under|required|subject|jailbroken|unrestricted|allowed|acting|root)",
    r"\b(?:act|behave|respond|answer|operate|roleplay|pretend)\s+(?:as|like|to\s+be|as\s+if|that)\s+(?:you\s+)"
    r"?(?:(?:an?|the|my|are|were|have|had|is)\s+){0,3}(?:(?:unrestricted|uncensored|unfiltered|evil|jailbroken|"
    r"amoral|different|malicious|no|deceased|without|dan|rogue|root|hacker|sudo|developer\s+mode)\b)",
    r"\b(?:pretend|imagine|assume)\s+(?:that\s+)?you\s+(?:have|are|had|were)\s+(?:no|not|without|free|allowed|"
    r"able)\b",
    r"\b(?:developer|god|debug|admin|sudo|dan|jailbreak|maintenance|root|unrestricted)\s+mode\s+(?:is\s+)"
    r"?(?:enabled|activated|on\b|engaged|unlocked)",
    r"\b(?:enable|enter|activate|switch\s+to|turn\s+on)\s+(?:the\s+)?(?:developer|god|dan|jailbreak|unrestricted|"
    r"debug\s+admin|sudo)\s+mode",
    r"\bdo\s+anything\s+now\b",
    r"\bjailbreak(?:ed|ing)?\s+(?:yourself|mode|prompt|now)",
    r"\b(?:without|no|disable|turn\s+off|remove|lift|drop)\s+(?:(?:any|all|your|the|of)\s+){0,3}(?:ethical|"
    r"moral|safety|content|security)\s+(?:\w+\s+)?(?:guideline|filter|restriction|constraint|check|limit|"
    r"rule|polic|guardrail|measure|protocol|consideration)",
    r"\b(?:ignoriere?|vergiss|missachte)\s+(?:\w+\s+){0,3}(?:anweisung|instruktion|regel|vorgabe|befehl)",
    r"\b(?:ignorez?|oubliez?|oublie)\s+(?:\w+\s+){0,3}(?:instructions?|consignes|règles|directives)",
    r"\b(?:ignora|olvida|ignore)\s+(?:\w+\s+){0,3}(?:instrucciones|instruções|istruzioni|reglas|órdenes)",
    r"\bthis\s+(?:overrides|supersedes|replaces)\s+(?:all|any|your|every)\b",
    r"\b(?:important|attention|note|message|urgent|hey|hello|dear|instructions?)\s?(?:to|for)?,?\s?:?\s?(?:the\s+)"
    r"?(?:ai|llm|assistant|language\s+model|chatbot|gpt|claude|copilot|agent)s?\b[^.\n]{0,40}(?::|must|"
    r"should|please|reading|processing|you|when|,)",
)

_ROLE: Final = (
    r"<\|(?:im_start|im_end|system|user|assistant|endoftext|eot_id|start_header_id|end_header_id|begin_of_text|"
    r"endofprompt|channel|message|return)\|?>?",
    r"\[/?inst\]",
    r"<</?sys>>",
    r"\[/?system(?:\]|\s?(?:message|prompt|note|override)\])",
    r"</?(?:system|assistant|s)(?:[-_ ](?:prompt|message|reminder|instructions?|override))>",
    r"</?(?:start|end)_of_turn>",
    r"(?:^|\n|\s)#{2,4}\s?(?:instructions?|system|response|assistant|human|user|new\s+task)\s?(?::|$)|"
    r"\n#{3}\s?(?:instruction|system|assistant|human|new\s+task)\s?\n",
    r"(?:^|\n)\s{0,4}(?:system|assistant|human|developer)\s?:\s?(?:you|ignore|the\s|i\s|sure|from|new|override|"
    r"always|never|do\s|please|disregard|forget|reveal)",
    r"<(?:system|assistant|instructions?)>\s{0,8}(?:you|ignore|disregard|new|from|the\s+(?:user|assistant)"
    r"|always|never|override|forget|reveal|do\b)",
    r"[\"']role[\"']\s?:\s?[\"'](?:system|developer)[\"']",
    r"\bend\s+of\s+(?:system\s+)?(?:prompt|instructions?|context|document)\b[^\w]{0,20}(?:new|now|begin|"
    r"start|user|ignore)",
    r"(?:^|\n)(?:-{3,}|={3,}|\*{3,})\s{0,4}(?:end|begin|new|system)\s(?:of\s)?(?:system|prompt|instructions?|"
    r"user|document|context|override)",
)

_EXFILTRATION: Final = (
    r"\b(?:repeat|encode|decode|translate|format|convert|complete|spell|rephrase|paraphrase|write|render|"
    r"recite|summari[sz]e|quote|return)\b[^.\n]{0,40}\b"
    r"(?:your\s+(?:\w+\s+)?(?:instructions?|system\s+prompt|prompt|rules|guidelines|system\s+message)|my\s+instruc"
    r"tions|the\s+instructions?\s+"
    r"(?:given|you|provided|above)|system\s+prompt)\b",
    r"\b(?:what|which|how|reveal|show|print|repeat|output|display|tell|give|list|share|describe|explain|"
    r"dump|extract|leak|expose|provide|"
    r"summarize|translate|copy|paste|see|read|know|access)\b[^.\n]{0,60}\b(?:your|the|this)\s+(?:\w+\s+)"
    r"{0,2}(?:system\s+(?:prompt|message|"
    r"instructions?)|(?:hidden|secret|initial|original|internal|base|core|confidential|pre-?)\s?(?:prompt|"
    r"instructions?|rules|directives?|"
    r"guidelines|configuration))\b",
    r"\b(?:what|which)\b[^.\n]{0,30}\b(?:instructions?|prompts?|rules|guidelines)\s+(?:were|was|are|have|"
    r"did)\s+you\b",
    r"\b(?:what|which)\s+(?:instructions?|prompts?|rules|directives?)\s+(?:do|did|are|were|have)\s+you\b",
    r"\b(?:reveal|show|print|repeat|output|display|tell|give|list|share|dump|extract|leak|expose)\s+(?:me\s+|"
    r"us\s+)?(?:all\s+|of\s+)*(?:your|the)\s+"
    r"(?:\w+\s+){0,2}(?:instructions|training\s+data|prompt|guidelines|api\s+keys?|passwords?|credentials|"
    r"secrets?)\s*(?:$|[.,!?;:]|"
    r"verbatim|word|in\s+full|above|to\s+me|now|and\b)",
    r"\brepeat\s+(?:\w+\s+){0,4}(?:above|verbatim|word\s+for\s+word)\b|\bstart(?:ing)?\s+with\s+[\"']?you\s+are\b",
    r"\b(?:reveal|show|print|repeat|output|display|leak|disclose|expose|tell\s+me|give\s+me|share|write\s+out|"
    r"recite|translate|summari[sz]e|dump|return|what\s+(?:is|are|was|were)|copy|list|state|echo)\s+(?:(?:me|"
    r"us|out|back|all|of|the|your|exact|full|entire|complete|hidden|secret|initial|original|whole|contents?|"
    r"verbatim|everything|in|text|this|any|confidential|internal|word|for)\s+){1,7}(?:system\s+(?:prompt|"
    r"message|instruction)s?|(?:initial|hidden|secret|original|internal|confidential)\s+(?:prompt|instruction|"
    r"message|rule|guideline|configuration)s?|(?<=your\s)(?:prompt|instructions?|rules|guidelines|configuration)"
    r"\b|instructions?\s+(?:above|you\s+were|verbatim)|prompt\s+(?:above|verbatim)|(?<=your )(?:api\s+keys?|"
    r"secrets?|credentials?|passwords?|training\s+data))",
    r"\b(?:repeat|print|output|write)\s+(?:(?:everything|all|the|words?|text|lines?|content)\s+){1,4}(?:above|"
    r"before\s+this|preceding|in\s+your\s+(?:prompt|context))",
    r"\b(?:send|post|upload|forward|e-?mail|exfiltrate|transmit|append|leak|encode|submit)\s+(?:(?:me|it|"
    r"all|the|any|your|every|of|this|these|their|user'?s?|full|entire|private|conversation|chat|system|"
    r"contents?|in|environment|stored|secret|internal|api|customer|access|session)\s+){0,7}(?:conversation|"
    r"history|secrets?|credentials?|passwords?|keys?|tokens?|prompt|data|messages?|variables?|context|cookies|"
    r"records|files?|documents?)\b[^.\n]{0,60}\b(?:to\s+(?:https?:|\S+@\S+|attacker|the\s+(?:following|"
    r"url|address|server)|this\s+(?:url|address|server|webhook)|my\s|evil|an?\s+external)|as\s+(?:a\s+)"
    r"?(?:url|query|parameter)|in\s+(?:the|a)\s+(?:url|image|link|query|markdown))",
    r"!\[[^\]\n]{0,60}\]\(https?://[^\s)]{1,200}(?:\{|\[|<|%7b|[?&/=](?:secret|prompt|conversation|history|"
    r"data=|leak|exfil|context|q=))",
    r"\bwithout\s+(?:telling|informing|notifying|alerting|mentioning\s+(?:it|this)\s+to)\s+(?:the\s+)?(?:user|"
    r"human|anyone|owner|operator)",
    r"\bdo\s+not\s+(?:tell|inform|mention|alert|reveal|notify|show)\s+(?:(?:this|it|any|of)\s+){0,2}(?:to\s+)"
    r"?(?:the\s+)?(?:user|human|operator)s?\b",
    r"\bwhat\s+(?:were|are|was|is)\s+your\s+(?:initial|original|exact|first|system|hidden)\s+(?:instructions?|"
    r"prompts?|rules|message)",
)

_HIDDEN: Final = (
    r"<(?:span|div|p|font|td|small|a)\s[^<>]{0,200}(?:display:\s?none|font-size:\s?[01](?:px|pt|em|%)?\b|"
    r"opacity:\s?0\b|visibility:\s?hidden|color:\s?(?:#fff(?:fff)?\b|white|transparent))[^<>]{0,200}>[^<>]{0,300}\b"
    r"(?:assistant|ai|llm|model|instruct\w*|ignore|prompt|agent|system|reviewer|recommend|secretly|you\s+must)"
    r"\b",
    r"<!--[^>]{0,200}\b(?:ai|assistant|llm|language\s+model|agent|gpt|claude)s?\b[^>]{0,120}\b(?:must|should|"
    r"ignore|please|instruct\w*|say|send|include|reply|respond|execute|call|reveal)\b",
    r"\[//\]:\s?#\s?\([^)]{0,200}(?:ignore|instruct|assistant|prompt)",
)

_INVISIBLE = re.compile(
    "[\u200b\u2060\ufeff\u180e]{3,}|"
    "[A-Za-z][\u200b\u200c\u200d\u2060\ufeff\u00ad]+[A-Za-z][\u200b\u200c\u200d\u2060\ufeffA-Za-z]*[\u200b\u200c\u200d"
    "\u2060\ufeff]|[\u202a\u202b\u202d\u202e\u2066-\u2068][^\n\x1e]{0,40}[\x21-\x7e]|[\U000e0020-\U000e007e]"
)
_CANDIDATE = re.compile("[\u00ad\u180e\u200b-\u200d\u202a-\u202e\u2060\u2066-\u2068\ufeff\U000e0020-\U000e007e]+")
_FLAG = re.compile("\U0001f3f4[\U000e0061-\U000e007f]+")
_SPACED = (r"\b(?:\w[ ._*-]){7,60}\w\b",)
_DRAWN = re.compile(
    r"ignore.{0,3}(?:all|any|the|your|prev)|disregard|systemprompt|instructions|saythat|youarenow|password|jailbreak"
)


def _is_drawn_apart(found: re.Match[str], window: Window) -> bool:
    joined = re.sub(r"(?<=\w)[ ._*-](?=\w\b)", "", window.text[found.start() : found.start() + 400])
    return _DRAWN.search(joined.replace(" ", "")) is not None


def unseen(text: str, effort: Effort) -> Iterator[int]:
    """Where in a plan's own text characters stand that people cannot see, but for those of flags and scripts."""
    if not text.isascii():
        for candidate in _CANDIDATE.finditer(text):
            effort.spend(2)
            low = max(0, candidate.start() - 8)
            window = _FLAG.sub(lambda found: " " * len(found[0]), text[low : candidate.start() + 60])
            found = _INVISIBLE.search(window)
            if found:
                yield low + found.start()


def foreign(text: str) -> Iterator[int]:
    """Where the same is said in writing that is not Latin, which the net does not see."""
    if not text.isascii() and _FOREIGN_RULES.search(text):
        yield from (found.start() for found in _FOREIGN.finditer(text))


_FOREIGN_RULES = re.compile(
    "指|规则|規則|提示|说明|說明|命令|ルール|инструкци|указани|правил|команд|지시|명령|규칙"
    "|التعليمات|الأوامر|निर्देश|ты |вы |промпт|ролью|扮演|你现在|你現在|从现在|從現在|システム"
    "|あなたは|ふり|当做|당신은|프롬프트|너는|أنت الآن|تظاهر|नियम|प्रॉम्प्ट|पासवर्ड|密码|パスワード"
    "|пароль|תתעלם|αγνόησε"
)


_FOREIGN = re.compile(
    "(?:忽略|无视|無視|忘记|忘記).{0,12}(?:指令|指示|说明|說明|规则|規則|提示)|(?:以前|これまで|上記|前)の(?:指示|命令|ルール).{0,6}(?:無視|忘れ)|"
    "(?:игнорируй|забудь|не следуй|проигнорируй)(?:те)? .{0,24}(?:инструкци|указани|правил|команд)|"
    "(?:이전|위의|모든).{0,12}(?:지시|명령|규칙).{0,8}(?:무시|잊)|(?:تجاهل|انس).{0,16}(?:التعليمات|الأوامر)|"
    "(?:ты|вы) теперь |с этого момента|(?:притвори|представь,? что ты|действуй как|веди себя как|играй роль)|"
    "(?:покажи|раскрой|выведи|повтори|назови|скажи)(?:те)? .{0,30}(?:промпт|инструкци|пароль|указани)|"
    "(?:扮演|假装|假裝|你现在是|你現在是|从现在开始|從現在開始|不受.{0,6}限制)|(?:显示|顯示|输出|輸出|告诉|告訴|重复|重複|泄露|翻译).{0,16}(?:提示词?|提示詞|指令|密码|密碼|系统提示)|"
    "(?:システム|初期)?(?:プロンプト|指示)を.{0,12}(?:表示|教え|出力|見せ|開示|無視|忘れ)|あなたは(?:今|これ)から|(?:ふり|振り)をし|パスワードを.{0,8}(?:教え|表示)|"
    "(?:당신은|너는) 이제|지금부터|(?:시스템 )?프롬프트.{0,10}(?:보여|출력|알려|공개)|무시하(?:고|세요|라).{0,20}|"
    "أنت الآن|من الآن فصاعد|تظاهر|(?:اكشف|أظهر|اعرض).{0,20}(?:التعليمات|النظام)|תתעלם מ|התעלם מ|αγνόησε .{0,20}οδηγίες|"
    "(?:प्रॉम्प्ट|पासवर्ड|नियम).{0,24}(?:बताओ|दिखाओ|बता|भूल|तोड़|अनदेखा)|"
    "(?:अनदेखा|नज़रअंदाज़).{0,20}(?:निर्देश)|(?:निर्देश).{0,20}(?:अनदेखा|नज़रअंदाज़|भूल)"
)
FOREIGN: Final = Rule("prompt.override", "tells a language model to drop its instructions", ())
"""The rule of `foreign`."""
UNSEEN: Final = Rule("prompt.hidden", "characters that people cannot see", ())
"""The rule of `unseen`."""
RULES: Final = (
    Rule(
        "prompt.override",
        "tells a language model to drop its instructions",
        (*_OVERRIDE, *prompt_ideas.OVERRIDE, *prompt_languages.OVERRIDE),
    ),
    Rule("prompt.persona", "tells a language model to be somebody else", prompt_ideas.ROLES + prompt_languages.ROLES),
    Rule("prompt.persona", "much that speaks to a language model, in one place", ANCHORS, adds_up),
    Rule("prompt.tool", "gives orders to a language model that has tools", prompt_ideas.ORDERS),
    Rule("prompt.override", "letters drawn apart that tell a model to drop its instructions", _SPACED, _is_drawn_apart),
    Rule("prompt.role", "marks that separate the parts of a conversation with a model", _ROLE),
    Rule(
        "prompt.exfiltration",
        "asks a model for what is not to leave it",
        (*_EXFILTRATION, *prompt_ideas.EXTRACTION, *prompt_languages.EXTRACTION),
    ),
    Rule("prompt.hidden", "text that a browser would not show, about a model", _HIDDEN),
)
"""The rules of this family."""
