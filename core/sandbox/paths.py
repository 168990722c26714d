"""Path traversal: the path is taken apart and walked, not only looked at.

Prose and code may name relative paths and even `/etc/hosts`; a value that is nothing but such a path may not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .layers import Hit, Layer

_TOKEN = re.compile(r"[^\s\"'`<>|,;(){}\[\]]+")
_SENSITIVE = re.compile(
    r"/etc/(?:passwd|shadow|group|gshadow|hosts|hostname|issue|motd|sudoers|crontab|fstab|ssh/|ssl/|mysql/|apache2?/|"
    r"nginx/|httpd/|php|my\.cnf|resolv\.conf|security/|kubernetes/|master\.passwd|environment|os-release|profile)"
    r"|/proc/(?:self|\d+|version|cmdline|net|mounts|cpuinfo|sched_debug)|/root/\.?\w|/\.ssh/|/\.aws/|/\.kube/|"
    r"/\.git/(?:config|head)"
    r"|/\.docker/|/\.env$|/\.bash_history|\.htpasswd|\.htaccess$|/\.bash(?:rc|_profile)|\bphp\.ini|/logs?/(?:access|error)[._]log|/\.netrc|/\.pgpass|/\.npmrc|\bid_(?:rsa|dsa|ecdsa|ed25519)\b"
    r"|/var/log/(?:auth|secure|apache|nginx|httpd|syslog|mail|messages|vsftpd)|/var/run/secrets|/run/secrets|"
    r"/var/lib/mlocate"
    r"|/dev/(?:tcp|udp|mem|kmem|sd[a-z]|fd/)|/var/spool/cron|/sys/(?:class|kernel)|/usr/local/etc/"
    r"|\bweb-inf/|\bboot\.ini|\bwin\.ini|\bsystem32/|\bsystem\.ini|^[a-z]:/(?:windows|winnt|inetpub|boot|"
    r"users/[^/]+/(?:ntuser|\.ssh)|xampp)"
    r"|\bunattend\.xml|/sam$|\bntds\.dit"
)
_SCHEME = re.compile(
    r"\b(?:file:/{1,3}[\w.%~$]|php://(?:filter|input|fd|memory|temp)|expect://|phar://|zip://[^\s]*#|gopher://|"
    r"netdoc:/|"
    r"compress\.(?:zlib|bzip2)://|glob:///|jar:(?:file|https?):|local_file:|data://text/|data:;base64|dict://|"
    r"ogg://|ssh2\.\w+://)"
)
_EVADING = re.compile(
    r"(?<!\.)\.{3,}+//|\.\.\.?/\./|\.\.;/|(?:/\.{3,4}){2}|(?:0x2e){2}|\.\./{2,8}\.\.|\.\.\x00|\.\.0x2f|\.\.u2215|\.\./\./\.\./|\.\.\?/|\.\.%|\.\.c0%?af"
)
_UNC = re.compile(r"\\\\[\w.?-]+\\[\w$?:]")
_LONGEST = 4096


def scan(layer: Layer) -> Iterator[Hit]:
    """Paths in the layer that lead out of where they start, or to what nobody should name."""
    text = layer.lower
    if not ("/" in text or "\\" in text or ".." in text):
        return
    if "//" in text or ":/" in text or "data:" in text:
        found = _SCHEME.search(text)
        if found and not (found[0].startswith("data:") and not layer.is_bare):
            yield Hit("path.scheme", "a URL scheme that reads files or talks past HTTP", found.start(), found.end())
    text = text.replace("\\", "/").replace("∕", "/").replace("⁄", "/")
    if ".." in text:
        yield from _traversals(text, layer)
    if layer.is_bare:
        found = _SENSITIVE.search(text.replace("//", "/").replace("/./", "/"))
        if found:
            yield Hit(
                "path.sensitive", "a place that holds secrets or belongs to the system", found.start(), found.end()
            )
        if _UNC.match(layer.text):
            yield Hit("path.sensitive", "a UNC path leads to another computer", 0, 40)


def _traversals(text: str, layer: Layer) -> Iterator[Hit]:
    evading = _EVADING.search(text)
    if evading and (layer.is_bare or layer.way):
        yield Hit("path.traversal", "dots and slashes written so that filters overlook them", *evading.span())
        return
    at = text.find("..")
    while at >= 0:
        # From the beginning of the token that holds the dots to its end, neither farther than a path can be.
        start = at
        lowest = max(0, at - 256)
        while start > lowest and text[start - 1] not in _STOPS:
            start -= 1
        match = _TOKEN.match(text, start, at + _LONGEST)
        end = max(match.end() if match else at + 2, at + 2)
        ups = _ups(text[start:end])
        if ups and _is_attack(text[start:end], ups, layer, text[max(0, start - 2) : start] == "]("):
            yield Hit("path.traversal", f"leads {ups} level{'s' * (ups > 1)} above where it starts", start, end)
            return
        at = text.find("..", end)


_STOPS = frozenset(" \t\r\n\"'`<>|,;(){}[]=?&")
_LEADING = re.compile(r"^(?:[\w-]{1,40}[=:])?")


def _ups(token: str) -> int:
    """How many levels above its start a path leads at its lowest; a URL's or an absolute path's start is its root."""
    level = lowest = 0
    _, mark, rest = token.partition("://")
    for part in re.split(r"/+", rest.partition("/")[2] if mark else _LEADING.sub("", token)):
        if part in ("", "."):
            continue
        # What a path ends in may be cut off there, or be followed by what a file's name cannot hold.
        if part == ".." or (part.startswith("..") and part[2:3] in ("\x00", "#", "?", ";")):
            level -= 1
        else:
            level += 1
        lowest = min(lowest, level)
    return -lowest


def _is_attack(token: str, ups: int, layer: Layer, is_link: bool) -> bool:
    if token in ("..", "../") and layer.text.strip() != token:
        return False
    return ("/" in token or token == "..") and (
        (layer.is_bare and not is_link) or ups >= 4 or _SENSITIVE.search(token[-200:]) is not None
    )
