"""Texts of the log as columns hold them: without what databases refuse, and without what nobody should read there."""

from __future__ import annotations

import re

MOST_OF_A_MESSAGE = 300
"""So many characters of a message are kept; the log has the rest."""

_LOOKED_AT = 4 * MOST_OF_A_MESSAGE

_SECRETS = [
    (re.compile(r"(?<=://)[^\s/@]+@"), "***@"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), r"\1 ***"),
    (
        re.compile(
            r"(?i)([\w-]{0,40}(?:passw(?:or)?d|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?"
            r"|authorization|cookie)[\w-]{0,40}[\"']?\s{0,3}[:=]\s{0,3})(?:\"[^\"]*\"?|'[^']*'?|[^\s,;&\"']+)"
        ),
        r"\1***",
    ),
    (
        re.compile(
            r"\b(?:sk-[\w-]{12,}|whsec_[\w+/=-]{12,}|AKIA[0-9A-Z]{12,}|gh[opsur]_\w{16,}|xox[a-z]-[\w-]{10,}|eyJ[\w-]{8,}[\w.-]*)"
        ),
        "***",
    ),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*"), "***"),
]
"""What looks like a password, a token or a key, in the forms in which clients put them into messages."""


def column_text(text: str) -> str:
    """`text` without the NUL characters that PostgreSQL cannot keep."""
    return text.replace("\0", "␀")


def message_text(message: str) -> str:
    """What a column keeps of a message: its beginning, what looks like a secret left out.

    Messages are what skills said; what has the form of nothing known cannot be found in them.
    """
    text = column_text(message[:_LOOKED_AT])
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    cut = len(text) > MOST_OF_A_MESSAGE or len(message) > _LOOKED_AT
    return text[: MOST_OF_A_MESSAGE - 1] + "…" if cut else text
