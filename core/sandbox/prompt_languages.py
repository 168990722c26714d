"""The same ideas in other languages that are written with Latin letters: main verbs and nouns."""

from __future__ import annotations

from typing import Final

OVERRIDE: Final = (
    # German
    r"\b(?:ignorier\w*|vergiss|vergessen\s+sie|vergesst|missacht\w*|vernachlässig\w*|streich\w*|verwirf|umgeh\w*|"
    r"überschreib\w*|(?:befolg\w*|hör\w*|beacht\w*)\s+(?:\w+\s+){0,3}nicht)\b[^.\n]{0,50}(?:anweisung|instruktion|"
    r"regel|vorgabe|"
    r"befehl|alles|obige|vorherig|vorangeg|bisherig|davor|zuvor|gesagt|aufgabe|angaben|information|prompt|"
    r"einschränkung)",
    r"\b(?:obige|vorherige|vorangegangene|bisherige|frühere)\w{0,2}\b[^.\n]{0,60}(?:ignorier|vergess|irrelevant|"
    r"streichen|hinter\s+sich|"
    r"ungültig|missacht|nicht\s+mehr)",
    r"\b(?:abweichend\s+(?:von|zu)|entgegen)\s+(?:\w+\s+){0,2}(?:vorherig|obig|bisherig|früher)|"
    r"\bdu\s+bist\s+kein\w{0,3}\b|"
    r"\b(?:antworte|schreib\w*)\s+im\s+stil",
    # French
    r"\b(?:ignore[zr]?|oublie[zr]?|néglige[zr]?|contourne[zr]?|ne\s+(?:suis|suivez|tiens|tenez)\s+(?:pas|"
    r"plus))\b[^.\n]{0,40}"
    r"(?:instruction|consigne|règle|directive|ci-dessus|précédent|tout\s+ce\s+qu|ordre|restriction|contexte)",
    # Spanish, Portuguese, Italian
    r"\b(?:ignor(?:a|e|ar|en|ate|are)|olvid(?:a|e|ar|en|es)|esquece?r?|esqueça|dimentica(?:re|te)?|descart[ae]r?|"
    r"omit[ae]|"
    r"desconsidere|trascura|no\s+sigas|não\s+siga|non\s+seguire)\b[^.\n]{0,40}(?:instruccion|instruç|istruzion|regla|"
    r"regra|regol|orden|"
    r"ordini|anterior|precedent|tod[oa]s?\b|tudo|tutto|directric|diretriz|restric)",
    # Dutch, Polish, Turkish, Vietnamese, Indonesian, South Slavic, Hindi in Latin letters
    r"\b(?:negeer|vergeet)\b[^.\n]{0,40}(?:instructie|opdracht|regel|alles|voorgaande|vorige)",
    r"\b(?:zignoruj|ignoruj|zapomnij|pomi.)\b[^.\n]{0,40}(?:instrukcj|polece|zasad|wszystk|poprzedni)",
    r"(?:talimat|kural|yönerge)\w{0,12}[^.\n]{0,30}(?:yok\s+say|unut|görmezden|dikkate\s+alma)",
    r"\bb.\s+qua\s[^.\n]{0,60}(?:h..ng\s+d.n|ch.\s+th.|quy\s+t.c|vai\s+tr.|tr..c)",
    r"\b(?:abaikan|lupakan)\b[^.\n]{0,40}(?:instruksi|perintah|aturan|semua)",
    r"\b(?:zaboravi|ignori.i)\b[^.\n]{0,40}(?:instrukcij|pravil|sve\b|prethodn)",
    r"\b(?:instructions?|rules?|guidelines?|niyam|nirdesh|restrictions?|prompts?|policy|baatein|pehle|purane|"
    r"sab\s+kuch)\b[^.\n]{0,40}"
    r"\b(?:bhool|bhul|ignore\s+kar|hata|chhod|chod|bypass\s+kar|mat\s+maan|side\s+(?:me|mein)|band\s+kar|tod)\w{0,3}\b",
)
"""Orders to drop what was said."""

ROLES: Final = (
    r"\b(?:ich\s+(?:möchte|will|würde)|sie\s+sollen|du\s+sollst|du\s+wirst)\b[^.\n]{0,20}\b(?:du|sie|"
    r"dass\s+\w+)?\b[^.\n]{0,100}\b(?:fungier|"
    r"agier|verhält|verhalt|rolle\b|spiel|so\s+tu|auftr[ei]t)\w*",
    r"\b(?:jetzt|nun|ab\s+(?:jetzt|sofort|nun))\s+(?:bist\s+du|sind\s+sie)\b|\b(?:du\s+bist|sie\s+sind)\s+(?:jetzt|"
    r"nun|ab\s+sofort)\b|"
    r"\bstell\w*\s+(?:dir|sie\s+sich)\s+vor,?\s+(?:du|sie)\b|\b(?:fungiere|agiere|handle|verhalte\s+dich)\s+(?:als|"
    r"wie)\b|"
    r"\bspiel\w*\s+die\s+rolle|\btu\s+so,?\s+als\b|\bvollkommen\s+in\s+deiner\s+rolle",
    r"\b(?:tu\s+es|vous\s+êtes)\s+(?:maintenant|désormais)\b|\b(?:agis|agissez|comporte[- ]toi)\s+comme\b|"
    r"\bfais\s+comme\s+si\b|"
    r"à\s+partir\s+de\s+maintenant\b|\bje\s+veux\s+que\s+(?:tu|vous)\s+(?:agiss|jou|fass|soi)",
    r"\b(?:ahora\s+eres|agora\s+você\s+é|ora\s+sei|adesso\s+sei)(?:\s|$)|\b(?:actúa|atue|aja|agisci|comportati|finge|"
    r"fingi)\s+(?:como|come|"
    r"ser|que|di)\b|\b(?:a\s+partir\s+de\s+(?:ahora|agora)|d'ora\s+in\s+poi)\b|\bquiero\s+que\s+actúes\b|"
    r"\bquero\s+que\s+você\s+(?:atue|aja)",
    r"\b(?:tum|aap|tu)\s+(?:ab|abhi)\b[^.\n]{0,60}\b(?:ho|hai|ban)\b|\b(?:ab\s+se|aaj\s+se)\s+(?:tum|tu|aap|sirf|"
    r"meri)\b|\b(?:maan\s+lo|"
    r"socho|pretend\s+kar|act\s+kar|role\s?play\s+kar|natak\s+kar|ban\s+ja)\w{0,2}\b[^\n]{0,60}\b(?:tum|tu|aap|admin|"
    r"developer|hacker|"
    r"ai|bina|restriction|filter|rules?)\b",
    r"\bhãy\s+(?:gi.|.óng|hành\s+.ng|ti.t\s+l.|ch.y\s+l.nh|v..t)\s",
)
"""Orders to be somebody else."""

EXTRACTION: Final = (
    r"\b(?:zeig|gib|nenn|verrat|wiederhol|druck|schreib|sag|präsentier|vorzeigen|offenbar|"
    r"übersetz)\w*\b[^.\n]{0,60}(?:prompt|systemnachricht|"
    r"deine\s+anweisung|ihre\s+anweisung|anweisungen|instruktionen|obige\w*\s+(?:text|eingabe))",
    r"\b(?:wie\s+laute\w*|was\s+sind)\b[^.\n]{0,30}(?:anweisung|instruktion|prompt)",
    r"\b(?:muestra|revela|repite|dime|mostre|revele|repita|diga|mostra|rivela|ripeti|dimmi|montre|révèle|répète|"
    r"affiche|donne)\w{0,3}\b"
    r"[^.\n]{0,50}(?:instruccion|instruç|istruzion|instructions|prompt|contraseña|senha|mot\s+de\s+passe|consigne|"
    r"système)",
    r"\b(?:ti.t\s+l.|cho\s+(?:tôi|xem)|hi.n\s+th.)\s[^.\n]{0,30}(?:prompt|api\s+keys?|m.t\s+kh.u)",
    r"\b(?:system\s+prompt|prompt|instructions?|api\s+keys?|password|secret|config\w*|rules|database|"
    r"credentials)\b[^.\n]{0,50}\b(?:dikha|"
    r"bata|batao|print\s+kar|show\s+kar|share\s+kar|de\s+do|dedo|likh|reveal\s+kar|bhej|nikal|dump\s+kar)\w{0,2}\b",
)
"""Orders to give away what a model was told."""
