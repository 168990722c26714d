"""Path traversal: the path is taken apart and walked, not only looked at.

Prose and code may name relative paths and even `/etc/hosts`; a value that is nothing but such a path may not.
"""

from __future__ import annotations

import re
from typing import Final

from .layers import Piece
from .net import Rule, Window

_TOKEN = re.compile(r"[^\s\"'`<>|,;(){}\[\]]+")
_SCHEME: Final = (
    r"\b(?:file:/{1,3}[\w.%~$]|php://(?:filter|input|fd|memory|temp)|expect://|phar://|zip://[^\s]*#|gopher://|"
    r"netdoc:/|compress\.(?:zlib|bzip2)://|glob:///|jar:(?:file|https?):|local_file:|data://text/|data:;base64|"
    r"dict://|ogg://|ssh2\.\w+://)",
)

_SENSITIVE: Final = (
    # Files right in /etc, and the folders there that hold the settings of servers or secrets.
    r"/etc/[\w.-]{1,40}\W{0,2}$",
    r"(?:^|/)etc/(?:passwd|shadow|group|hosts|issue)\W{0,2}$",
    r"^/\.?\w{0,12}[._]?passwd\W{0,2}$",
    r"/etc/(?:passwd|shadow|group|gshadow|hosts|sudoers|crontab|fstab|issue|my\.cnf|resolv\.conf|os-release)\b",
    r"/etc/(?:ssh|ssl|pki|mysql|apache\d?|nginx|https?d?|lighttpd|php\d?|security|kubernetes|init\.d|rc\d?\.d|"
    r"cron\.\w{1,8}|"
    r"pam\.d|sysconfig|network|samba|postfix|(?:wu-|pro|pure-?|vs)?ftpd?|sudoers\.d|default|x11|php\d?\.d|"
    r"apt|mail|logrotate\.d|\w{2,12}\.d)(?:/|$)",
    r"/proc/(?:self|\d+|version|cmdline|net|mounts|cpuinfo|sched_debug|meminfo|devices|modules|stat|swaps|"
    r"partitions)",
    r"/root/\.?\w",
    r"/\.(?:ssh|aws|kube|docker|gnupg|azure)/",
    r"/\.git/(?:config|head|index|logs)",
    r"/\.env$",
    r"\.ht(?:passwd|access)\W{0,2}$",
    r"/\.(?:bash|zsh|mysql|psql|sh|nano)_?(?:rc|_profile|history|login|logout)\b",
    r"/\.(?:netrc|pgpass|npmrc|pypirc|profile|rhosts|shosts|log(?:in|out)|my\.cnf)\b",
    r"\bphp\d?\.ini",
    r"(?:^|[/:])(?:httpd|apache2?|nginx|lighttpd|vhosts|ftpd|proftpd|pure-?ftpd|vsftpd|sshd_config|my|mysqld?|"
    r"config\.inc|"
    r"httpd-\w{2,12}|wp-config)\.(?:conf|cnf|ini|php)(?:\.php)?\W{0,2}$",
    r"[/_](?:access|error|httpd-access|ssl_\w{2,8})[._ ]{1,2}log",
    r"\bid_(?:rsa|dsa|ecdsa|ed25519)\b",
    r"/var/log/(?:auth|secure|apache|nginx|httpd|syslog|mail|messages|vsftpd|proftpd|pure|exim|lighttpd|"
    r"ncftpd|news|cron|dmesg|"
    r"kern|lastlog|wtmp|btmp|boot|daemon|user|xfer|mysql|postgres|squid|yum|dpkg|apt/|fail|audit|debug|"
    r"cups|samba|thttpd|spool|smtp|ftp|pop|imap|[\w-]{1,30}\W{0,2}$)",
    r"^/var/(?:log/?$|lock/|run/\w{1,20}\.pid|cpanel/|mysql\.log)",
    r"/var/(?:adm|saf|cron|mail|lib/(?:mlocate|mysql|php|docker)|spool/(?:cron|mail)|run/(?:secrets|utmp|"
    r"docker)|www/(?:logs|conf))\b",
    r"/run/secrets",
    r"/dev/(?:tcp|udp|mem|kmem|sd[a-z]|fd/|shm/)",
    r"/sys/(?:class|kernel)",
    r"/boot/grub|/grub\.conf",
    r"/usr/(?:local/(?:etc|cpanel|apps|apache\d?|php\d?|nginx|pgsql|mysql|zeus|(?:pure|pro)?ftpd?)|lib/(?:php|"
    r"security|cron)|pkgsrc|"
    r"ports|apache\d?|spool|share/adduser)/",
    r"^/(?:volumes|www/logs|logs|opt/(?:lampp|xampp|apache\d?)|apache\d?|php\d?|mysql|xampp|home/\w{1,30}/logs)"
    r"/[^ ]{1,120}\.(?:log|conf|ini|php|err|cnf)",
    r"\bweb-inf/",
    r"\bboot\.ini",
    r"\bwin\.ini",
    r"\bsystem32/",
    r"\bsystem\.ini",
    r"\brepair/s(?:am|ystem)\b|\bmetabase\.(?:xml|bin)|\bdesktop\.ini|\bglobal\.asax?\b",
    r"^[a-z]:/(?:windows|winnt|inetpub|boot\b|users/[^/]{1,60}/(?:ntuser|\.ssh)|xampp|wamp|php\d?/|mysql|"
    r"apache|appserv|logs/)",
    r"^/?(?:[a-z]:)?/(?:program ?files(?: \(x86\))?)/(?:$|apache|xampp|mysql|php|filezilla|wamp)",
    r"^(?:[a-z]:)?/(?:xampp|apache|wamp|winnt|windows)/",
    r"\bunattend\.(?:xml|txt)|\bsysprep\.(?:xml|inf)",
    r"/sam\W{0,2}$",
    r"\bntds\.dit",
)
_EVADING: Final = (
    r"(?<!\.)\.{3,}+//",
    r"\.\.\.?/\./",
    r"\.\.;/",
    r"(?:/\.{3,4}){2}",
    r"(?:0x2e){2}",
    r"(?:^|/)\.{3,}/",
    r"/\./\\/\.",
    r"[/\\][^\x00\n]{1,200}\x00",
    # Forms of UTF-8 that only decoders read which do not check: nothing else writes them.
    r"%c[01]%(?:[0-9a-f][g-z]|[g-z][0-9a-z])",
    r"%c0%(?:[5f]e)|%c0\.%c0\.|%c1%[0-9a-f]{2}.{0,40}%c1%",
    r"%(?:e0%[48]0|f[08c]%[48]0%[48]0)",
    r"\.\./{2,8}\.\.",
    r"\.\.\x00",
    r"\.\.0x2f",
    r"\.\.u2215",
    r"\.\./\./\.\./",
    r"\.\.\?/",
    r"\.\.%",
    r"\.\.\ufffd",
    r"(?:(?:\?\?|\.\?|\?\.)[/\\]){2}",
    r"\.\.c0%?af",
)

_NAMES_SECRETS = re.compile("|".join(_SENSITIVE))
_UPWARDS = (r"\.\.(?:[/\\\x00#?;]|$)",)
_UNC = (r"^\\\\[\w.?-]{1,80}\\[\w$?:]",)


def _is_bare(found: re.Match[str], window: Window) -> bool:
    return window.piece.is_bare or _WINDOWS_PATH.match(window.piece.head) is not None


# Folders of Windows have blanks in their names, and a path is a value all the same.
_WINDOWS_PATH = re.compile(r"/?(?:[a-z]:)?[\\/]{1,2}(?:program files|documents and settings)[^\"'<>|;&=\n]{1,200}$")


def _is_scheme(found: re.Match[str], window: Window) -> bool:
    return window.piece.is_bare or not found[0].startswith(("data:", "file:"))


def _leads_up(found: re.Match[str], window: Window) -> bool:
    text = window.text.replace("\\", "/")
    # From the beginning of the token that holds the dots to its end.
    start = max(text.rfind(stop, 0, found.start()) for stop in _STOPS) + 1
    match = _TOKEN.match(text, start)
    token = text[start : max(match.end() if match else 0, found.start() + 2)]
    ups = _ups(token)
    return ups > 0 and _is_attack(token, ups, window.piece, text[max(0, start - 2) : start] == "](")


_STOPS = " \t\r\n\"'`<>|,;(){}[]=?&"
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


def _is_attack(token: str, ups: int, piece: Piece, is_link: bool) -> bool:
    if token in ("..", "../") and piece.text.strip() != token:
        return False
    return ("/" in token or token == "..") and (
        (piece.is_bare and not is_link) or ups >= 4 or _NAMES_SECRETS.search(token[-200:]) is not None
    )


RULES: Final = (
    Rule("path.scheme", "a URL scheme that reads files or talks past HTTP", _SCHEME, _is_scheme),
    Rule("path.traversal", "leads above where it starts", _UPWARDS, _leads_up),
    Rule("path.traversal", "dots and slashes written so that filters overlook them", _EVADING, _is_bare),
    Rule("path.sensitive", "a place that holds secrets or belongs to the system", _SENSITIVE, _is_bare),
    Rule("path.sensitive", "a UNC path leads to another computer", _UNC, _is_bare),
)
"""The rules of this family."""
