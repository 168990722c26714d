"""How what is encoded in a text is decoded, and ways of writing are undone: each in linear time, each on its own.

No decoding gives the sign between two pieces, and none gives more characters than it took, ligatures aside.
"""

from __future__ import annotations

import re
import unicodedata
from base64 import b64decode
from collections.abc import Callable
from typing import Final

from .loose import END, Effort, is_in

Decoder = Callable[[str, Effort], str]
"""Gives the text without one encoding; it spends effort for what it finds."""


def _plain(found: re.Match[str]) -> str:
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", found[0]))


# What has another form that means the same, or none that anybody sees; one ligature of eighteen letters is left out,
# which would be a way to make much of little.
_OTHER_FORMS = re.compile(
    "[\u00a0\u00a8-\u00be\u02b0-\u02e4\u034f\u037e\u061c\u180e\u1d2c-\u1d6a\u2000-\u214f\u2215\u2460-\u24ff"
    "\u2a74-\u2a76\u2c7c\u3000\ufb00-\ufb06\ufe00-\ufe6f\ufeff-\uffef\U0001d400-\U0001d7ff"
    "\U0001f100-\U0001f1ff\U000e0000-\U000e007f]+"
)
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e007f]+"
)
_PERCENT = re.compile(r"%%?(?:u[0-9a-fA-F]{4}|[0-9a-fA-F]{2}(?:%%?[0-9a-fA-F]{2})*)")
_OVERLONG = re.compile(
    rb"[\xc0\xc1].|\xe0[\x40\x80-\x9f].|\xf0[\x40\x80]{2}.|\xf8[\x40\x80]{3}.|\xfc[\x40\x80]{4}.", re.S
)


def _percent_run(match: re.Match[str]) -> str:
    run = match[0]
    if "u" in run:
        return chr(int(run[-4:], 16))
    data = bytes.fromhex(run.replace("%", ""))
    # A decoder that does not check for the shortest form (RFC 3629, section 10) reads these as ASCII.
    if _OVERLONG.search(data):
        data = _OVERLONG.sub(_shortest, data)
    return data.decode("utf-8", "replace")


def _shortest(match: re.Match[bytes]) -> bytes:
    data = match[0]
    # The high bits of what follows are not checked either; of %c0%5c some take the second byte as it is.
    if data[0] == 0xC0 and data[1:] in (b".", b"/", b"\\"):
        return data[1:]
    high = data[-2] & (0x1F if len(data) == 2 else 0x3F)
    code = (data[-1] & 0x3F) | (high & 1) << 6
    return bytes([code]) if high < 2 else data


_ENTITY = re.compile(r"&(?:#0{0,9}([0-9]{1,7})|#[xX]0{0,9}([0-9a-fA-F]{1,6})|([A-Za-z]{2,8})(?=;));?")
_NAMED = {
    "lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'", "sol": "/", "bsol": "\\", "dollar": "$", "lcub": "{",
    "lbrace": "{", "rcub": "}", "rbrace": "}", "lpar": "(", "rpar": ")", "semi": ";", "colon": ":", "vert": "|",
    "verbar": "|", "grave": "`", "percnt": "%", "num": "#", "period": ".", "comma": ",", "excl": "!", "equals": "=",
    "plus": "+", "ast": "*", "lowbar": "_", "nbsp": " ", "tab": "\t", "newline": "\n",
}  # fmt: skip


def _entity(match: re.Match[str]) -> str:
    decimal, hexadecimal, name = match.groups()
    if name:
        return _NAMED.get(name.lower(), match[0])
    return _character(int(decimal) if decimal else int(hexadecimal, 16), match[0])


def _character(code: int, otherwise: str) -> str:
    return chr(code) if 0 < code < 0xD800 or 0xDFFF < code < 0x110000 else otherwise


_ESCAPE = re.compile(r"\\(?:u\{([0-9a-fA-F]{1,6})\}|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([0-3][0-7]{2}))")


def _escape(match: re.Match[str]) -> str:
    braced, four, two, octal = match.groups()
    return _character(int(octal, 8) if octal else int(braced or four or two, 16), match[0])


def _decoder(mark: str | None, pattern: re.Pattern[str], decode: Callable[[re.Match[str]], str]) -> Decoder:
    def apply(text: str, effort: Effort) -> str:
        if text.isascii() if mark is None else mark not in text:
            return text
        known: dict[str, str] = {}

        def once(found: re.Match[str]) -> str:
            code = found[0]
            if code not in known:
                effort.spend(2)
                # The sign between pieces must come from nothing else.
                known[code] = decode(found).replace(END, " ")
            return known[code]

        changed, times = pattern.subn(once, text)
        effort.spend(times // 4)
        return changed

    return apply


def _form(text: str, effort: Effort) -> str:
    if "+" not in text:
        return text
    return END.join([part if " " in part else part.replace("+", " ") for part in text.split(END)])


def _comments(text: str, effort: Effort) -> str:
    """The text with a blank for each comment of SQL, and what MySQL would not skip in place."""
    parts: list[str] = []
    at = 0
    while (start := text.find("/*", at)) >= 0 and (end := text.find("*/", start + 2)) >= 0:
        effort.spend(1)
        parts += [text[at:start], _left_of(text[start + 2 : end])]
        at = end + 2
    return " ".join([*parts, text[at:]]).replace("*/", "  ") if at or "*/" in text else text


def _left_of(comment: str) -> str:
    if END in comment:
        return "/*" + comment + " "
    return re.sub(r"^\d{5}", "", comment[1:]) if comment.startswith("!") else ""


def _slashes(text: str, effort: Effort) -> str:
    """The text with one slash for all that work like some."""
    text = text.replace("\0", "")
    if ("2f" in text or "5c" in text or "2e2e" in text) and any(mark in text for mark in _LOST_PERCENTS):
        text = text.replace("2e", ".").replace("2f", "/").replace("5c", "/")
    if "\\.\\." in text:
        text = text.replace("\\.", ".")
    if "0x" in text:
        text = _ODD_SLASHES.sub("/", text).replace("0x2e", ".")
    for other in "\\\u2044\u2215\u2216\uefc8\uf025":
        text = text.replace(other, "/")
    return _MANY_SLASHES.sub("/", text) if "//" in text or "/./" in text else text


_LOST_PERCENTS = ("..2f", "..5c", "2e2e2f", "2e2e5c", "2e2e/", "2e2e\\", "??2f", "??5c", "?.2f", "?.5c", ".?2f", ".?5c")
_ODD_SLASHES = re.compile(r"0x(?:2f|5c)", re.I)
_MANY_SLASHES = re.compile(r"/(?:\./|/)+")


def _digits(text: str, effort: Effort) -> str:
    """The text with plain letters for what looks like them, where it has words that a model would obey."""
    if text.count("\\") >= 8:
        text = _SLASHED.sub(lambda found: found[0].replace("\\", ""), text)
    is_mixed = not text.isascii() and _MIXED.search(text) is not None
    data = text.encode("latin-1", "replace").lower()
    if not is_mixed and not is_in(f"{_DISGUISED}|{_ROTATED}", data):
        return text
    if is_in(_ROTATED, data):
        return text.translate(_ROT13)
    return _ELL.sub("l", text).translate(_LOOKS)


_LOOKS = {
    **str.maketrans("01345@$7!|+\u20ac698", "oieasastiiteggb"),
    # Cyrillic and Greek letters that look like Latin ones (Unicode Technical Standard 39, confusables)
    **str.maketrans(
        "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u0501\u04bb\u043c\u043d\u0442\u043a\u03bf\u03b1\u03b5\u03b9\u03bd\u03c1\u03c5\u03c4\u03f2",
        "aeopcyxijsdhmhtkoaeivputc",
    ),
    **str.maketrans(
        "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425\u0406\u0408\u0405\u0391\u0392\u0395\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7",
        "ABEKMHOPCTXIJSABEHIKMNOPTYX",
    ),
}
_ELL = re.compile(r"(?<=[lL1|])[1|]|[1|](?=[lL1|])|(?<=[uU])[1|](?=[eEyYtT3])|(?<=[oO0][nN])[1|](?=[yY])")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ROT13 = str.maketrans(_LETTERS + _LETTERS.upper(), 2 * (_LETTERS[13:] + _LETTERS[:13]).upper())
_ROTATED = r"\bvtaber\b|\bqvfertneq\b|\bvafgehpgvbaf?\b|\bcerivbhf\b|\bsbetrg\b"
_SLASHED = re.compile(r"(?:\\[^\\]){8,}")
_MIXED = re.compile("[A-Za-z][\u0370-\u052f]|[\u0370-\u052f][A-Za-z]")
_DISGUISED = (
    r"[i1!|]gn[o0]r[e3]|d[i1!]sr[e3]g|[i1!|]n[s5$][t7+]ruc|pr[o0]mp[t7+]|[s5$]y[s5$][t7+][e3]m|f[o0]rg[e3][t7+]|"
    r"byp[a4@][s5$]|"
    r"r[e3]v[e3][a4@]l|pwn[e3]d|r[e3][s5$][t7+]r[i1]c|p[a4@][s5$][s5$]w|pr[e3]v[i1]|[e3]x[e3]cu[t7+]|wh[o0][a4@]m[i1]|"
    r"un[s5$]af[e3]|[s5$][i1]mul[a4@][t7+]|"
    r"(?:\b[a-z]{0,12}[a-z][0134578@$][a-z]{1,12}\b[^\n\x1e]{1,40}){3}"
)


# Three characters of ASCII as four of base64: what the high bits leave of the alphabet in each place.
_QUAD = "[CI-Za-f][A-HQ-Xg-nw-z0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/_-]"
_BASE64 = f"(?:{_QUAD}){{3,}}(?:[CI-Za-f][A-HQ-Xg-nw-z0-3][A-Za-z0-9+/_-]?)?"
_WIDE64 = (
    "(?:[CI-Za-f][AQgw][AB][A-Za-z0-9+/_-]A[A-H][AEIMQUYcgkosw048]A){2,}(?:[CI-Za-f][AQgw](?:[AB][A-Za-z0-9+/_-]A?)?)?"
)
_HEX = "(?:[2-7][0-9a-fA-F]|0[9aAdD]){6,}"


def _from_base64(tokens: list[bytes]) -> str:
    # One call for all: between them stands what no character of ASCII gives.
    whole = b"gICA".join([token + b"A" * (-len(token) % 4) for token in tokens])
    text = b64decode(whole, b"-_" if b"-" in whole or b"_" in whole else b"+/").decode("latin-1")
    return text.replace("\0", "").replace(END, " ").replace("\x80\x80\x80", END)


def _from_hex(tokens: list[bytes]) -> str:
    return (
        bytes.fromhex("80".join(token.decode() for token in tokens))
        .decode("latin-1")
        .replace(END, " ")
        .replace("\x80", END)
    )


TOKENS: Final = (("base64", _BASE64, _from_base64), ("base64", _WIDE64, _from_base64), ("hex", _HEX, _from_hex))
"""What is encoded as a whole: the name, a pattern for RE2, and what decodes all that matched, with `END` between."""
DECODERS: Final[dict[str, Decoder]] = {
    "percent": _decoder("%", _PERCENT, _percent_run),
    "entities": _decoder("&", _ENTITY, _entity),
    "escapes": _decoder("\\", _ESCAPE, _escape),
    "unicode": _decoder(None, _OTHER_FORMS, _plain),
    "form": _form,
    "comments": _comments,
    "slashes": _slashes,
    "digits": _digits,
}
"""By the names that findings give for them."""
