"""Command injection: shell syntax together with what shells run.

A pipe or a backtick is everywhere, and so are words such as `find`. What tells an attack from documentation is what
stands before: `ps aux | grep x` is a command line, `127.0.0.1 | id` a value with something behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from .layers import Hit, Layer

_STRONG: Final = (
    "whoami wget curl bash sh zsh ksh dash csh ash nc ncat netcat nslookup ifconfig ipconfig uname systeminfo "
    "tasklist netstat traceroute tracert "
    "chmod chown rm rmdir mkfifo powershell pwsh cmd certutil bitsadmin mshta regsvr32 rundll32 wmic schtasks "
    "crontab useradd adduser usermod passwd "
    "sudo ssh scp sftp telnet tftp socat xterm gawk xargs base64 xxd ls tac printenv lsof hostname dig mkfs "
    "iptables systemctl poweroff killall pkill busybox ps "
    "nmap netsh tcpdump egrep fgrep gunzip mv lwp-download whois getent ping6 dmesg arp su vim nano gdb strace openssl "
    "net1 ss fping mknod"
)  # fmt: skip
_WEAK: Final = (
    "cat id who w date time find sort head tail more less cut echo sleep kill host touch last split type "
    "dir reg service mount route ping python python2 "
    "python3 ruby node php perl env source exec eval sed awk gcc strings rev tar zip mail printf net copy "
    "del erase move start tree history jobs df du free uptime "
    "pwd cp ln dd nl od grep vi ed man tee reboot shutdown halt git mysql psql sqlite3 ver vol ftp ip lua "
    "md5sum stat ldd nohup timeout watch vmstat uptime groups "
    "command which whereis expr export alias wc rlogin logger fdisk lsblk lscpu apt-get yum pip npm "
    "systeminfo ipconfig nbtstat query net user sc at attrib icacls"
)  # fmt: skip
_OTHERS: Final = (
    "cd exit docker kubectl npm pip3 cargo go make apt brew cmake mvn gradle terraform helm journalctl jq zcat refold "
    "sudo yarn pnpm uv poetry export local  podman aws gcloud az rsync ffmpeg convert for while do then uniq tr "
    "gzip seq yes true false mkdir pushd  popd if tox pytest ruff mypy poetry bundle rake composer dotnet "
    "virtualenv conda bazel buf protoc openssl gpg ansible ansible-playbook vagrant heroku vercel fly gh hg svn "
    "redis-cli pg_dump pg_restore read printf sbt lein stack cabal "
)
_HEADS: Final = frozenset((_STRONG + " " + _WEAK + " " + _OTHERS).split())
_NAMES = "|".join(sorted(set(map(re.escape, (_STRONG + " " + _WEAK).split())), key=len, reverse=True))
_STRONG_NAMES = frozenset(_STRONG.split())
_LIKE_ENGLISH: Final = (
    "more free who time sleep date test start last history watch query user at sc groups command which find sort head "
    "cut kill host touch split set tree less view print top id move copy type mail"
)
_ENGLISH: Final = frozenset(_LIKE_ENGLISH.split())
_READERS: Final = "grep egrep head tail sort wc awk sed cut less more tee xargs tr nl gawk test"
_FILTERS: Final = frozenset(_READERS.split())
_SURE = re.compile(
    r"\s*$|\s*[;|&<>`)}'\"\\\n\r]|\s*,[-/\w]|\s+(?:-{1,2}[a-z]|/[\w?*.]|~/|[$*`%@]|\.{1,2}(?:/|\s|$)|[\w.-]{1,64}[/\\:@]+\w|"
    r"\d{1,5}\s?(?:$|[;|&#)`'\"])|\S{1,40}\s?[;|&>#])|[<>]"
)
_BEHIND = re.compile(
    r"(?P<opener>;|\|\|?|&&?|`|\$\(|[\r\n]|[<>]\(|(?:^|(?<=\s))\{(?=[\w/]+,)|"
    r"(?<!\w)%0[ad])[\s({\"'\\$]{0,6}(?P<place>(?:/|~|\.|[a-z]:[\\/]|%\w{1,20}%)[\w./\\?*-]{0,64}[/\\])?"
    rf"(?P<name>{_NAMES})(?:\.exe)?(?![\w-]|\.[a-z]|'s\b)"
)
_EVIDENCE = re.compile(
    r"\s*$|\s*[;|&<>`)}'\"\\\n\r]|\s*,[-/\w]|\s+(?:[-+]{1,2}\w|/[\w?*.]|~|[$*\"'`%@]|\.{1,2}(?:/|\s|$)|"
    r"[\w.-]{1,64}[/\\:@]\w|[\w-]{1,64}\.(?:txt|php|sh|py|pl|log|conf|exe|ini|xml|html?|com|net|org|io|db|env)\b|"
    r"\S{1,40}\s?[;|&>]|\S{1,60}$)|[<>]"
)
_CODE = re.compile(r"\s*(?:[=([]|:=|\.\w|[-+*]=|\+\+|=>|->|==|:\s|::|,\s)")
_SIGNATURE = re.compile(
    r"(?<!#!)/bin/(?:ba|z|k|c|da|tc)?sh\b\s{0,4}(?:-[ic]\b|$|[|;&0'\"<>])|/dev/(?:tcp|udp)/[\w.$-]{1,64}/|\b(?:nc|ncat|"
    r"netcat)(?:\.\w{3,12}|\.exe)?\s[^\n;|]{0,60}-[a-z]{0,4}[ec]\b|\b(?:ba|z|k)?sh\s+-i\b|"
    r"\brm\s+(?:-{1,2}[a-z-]{1,20}\s+){1,3}[\"']?(?:/(?:\s|\*|$|[;&|\"'])|~|\$home|\*|/(?:etc|var|usr|home|bin|"
    r"boot|opt|root)\b|--no-preserve)|:\s?\(\s?\)\s?\{\s?:\s?\|\s?:|"
    r"\bmkfs(?:\.\w{2,8})?\s+[-/]|\bdd\s+if=[^\s]{1,80}\s+of=/dev/|>\s?/dev/sd[a-z]|\(\)\s?\{\s?:?;?\s?\}\s?;|"
    r"\b(?:curl|wget|fetch)\b[^\n|;]{1,200}\|\s?(?:sudo\s)?(?:ba|z|k)?sh\b|"
    r"\b(?:python[23]?|perl|ruby|php|lua|node)\s+-(?:c|e|r|rsocket|msocket|mio)\s?['\"]?[^\n]{0,200}(?:socket|"
    r"exec|system|spawn|subprocess|fsockopen|popen|__import__|child_process|passthru|tcpsocket|io::)|"
    r"\bsocat\s[^\n]{0,80}exec:|\bmkfifo\s+/tmp|__import__\s?\(\s?['\"](?:os|subprocess|pty|socket|commands|"
    r"builtins)|\b(?:getruntime\s?\(\s?\)|processbuilder\s?\([^)]{0,80}\))\s?\.\s?(?:exec|start)|"
    r"require\s?\(\s?['\"]child_process['\"]\s?\)\s?\.\s?(?:exec|spawn|fork)|\beval\s?\(\s?(?:base64_decode|atob|"
    r"gzinflate|\$_(?:get|post|request|cookie)|compile|chr\s?\(|request\.)|"
    r"\b(?<![.\w])(?:passthru|shell_exec|system|popen|proc_open|pcntl_exec|eval|exec)\s?\(\s?(?:['\"](?:"
    + _NAMES
    + r")\b|\$_(?:get|post|request|cookie))|"
    r"\$\{?ifs\b|\bcat\s?<\s?/etc/|\bcat\s+/etc/(?:passwd|shadow)\b\s{0,4}(?:$|[|>&;])|"
    r"(?:^|[;&|`(\s])(?:/\?{2,}[/?*\w]{1,40}|/[a-z]{1,4}[?*]+[/\w?*]{2,40}|/b[?i][?n]/\S{0,20}[?*])\s|<!--#exec|"
    r"\bcrontab\s+-[re]\s|>>?\s?/etc/(?:passwd|cron|sudoers)|authorized_keys|"
    r"\bos\.(?:system|popen)\s?\(\s?['\"](?:"
    + _NAMES
    + r")\b[^'\"]{0,80}(?:[;|&>`$]|/etc/|https?:)|\bchmod\s+(?:[ugoa]*\+[xs]+|0?[4-7]?777)\s[^\n]{0,80}(?:/bin/|&&|;)|"
    r"\bhistory\s+-c\b|"
    r"\bbase64\s+(?:-d|--decode)\s?\|\s?(?:ba|z)?sh|\bxxd\s+-r\b[^\n]{0,20}\|\s?(?:ba)?sh|"
    r"\btelnet\s\S{1,60}\s\d{1,5}\s?\|\s?/bin|\bawk\s+['\"]?begin\s?\{\s?(?:system|s\s?=)|"
    r"\bfind\s[^\n]{1,80}-exec\s+(?:/bin/)?(?:ba)?sh|"
    r"\bcurl\s[^\n]{0,100}(?:-d\s?@|--data(?:-binary)?\s?@|-f\s?[\w]{0,20}=@|-t\s)/?(?:etc|root|home|proc)/|"
    r"\b(?:wget|curl)\s[^\n]{0,100}(?:;|&&)\s?(?:chmod|sh|bash|\./)|\bbash\s+-c\s+['\"{$]|\bnslookup\s+(?:`|\$\()"
)
_POWERSHELL = re.compile(
    r"\b(?:powershell|pwsh)(?:\.exe)?\b[^\n]{0,80}\s-(?:e|en|enc|encodedcommand|ec|nop|noprofile|w|windowstyle|"
    r"exec|executionpolicy|ep|noni|noninteractive|sta)\b[^\n]{0,40}(?:hidden|bypass|-c|[a-z0-9+/=]{16}|iex|-e|1|"
    r"-file|-f|\(|http|unrestricted)|"
    r"\b(?:iex|invoke-expression)\b\s{0,4}[(\"'$&]|\|\s?(?:iex|invoke-expression)\b|"
    r"\bnew-object\s+(?:system\.)?(?:net\.(?:webclient|sockets)|io\.)|\.download(?:string|file|data)\s?\(|"
    r"frombase64string\s?\(|"
    r"\b(?:powershell|pwsh)(?:\.exe)?\s+(?:-c|-command|/c|iex|\(|\"|'|get-|invoke-|start-|whoami)|"
    r"\binvoke-(?:webrequest|restmethod|command|wmimethod|mimikatz|shellcode)\b[^\n]{0,120}(?:\||-outfile|"
    r"-scriptblock|;|-uri\s+http|mimikatz)|\biwr\s[^\n]{1,120}(?:\||-outfile|-o\s)|"
    r"\bstart-process\s[^\n]{0,80}(?:hidden|runas|cmd|powershell)|"
    r"\bcmd(?:\.exe)?\s{0,4}/[ckr]\s?[\"'\w^]|\bcertutil(?:\.exe)?\s[^\n]{0,40}-(?:urlcache|decode|f\b)|"
    r"\bbitsadmin\s[^\n]{0,40}/transfer|\bmshta(?:\.exe)?\s+(?:https?:|vbscript:|javascript:|\\\\)|"
    r"\bregsvr32(?:\.exe)?\s[^\n]{0,40}/i:|"
    r"\brundll32(?:\.exe)?\s[^\n]{0,20}(?:javascript:|,\s?\w)|\bwmic\s[^\n]{0,40}process\s+call|"
    r"\bset-executionpolicy\s+(?:bypass|unrestricted)|\bset-mppreference\s+-disable|"
    r"\bget-content\s[^\n]{0,60}\|\s?iex|\bnet\s+(?:user|localgroup)\s+\S{1,40}\s[^\n]{0,40}/add|"
    r"\breg\s+(?:add|save|delete)\s+[\"']?hk|\bschtasks\s+/create|\bvssadmin\s+delete|\bwscript\.shell\b|"
    r"\[system\.(?:net|reflection|diagnostics|convert|text)\.[\w.]{1,60}\]::|\$env:\w{1,30}\s?[;|]|"
    r"\bremove-item\s[^\n]{0,60}-(?:recurse|force)\b[^\n]{0,40}-(?:recurse|force)"
)
_MARKS = ("\\n", "\\r", ";", "|", "&", "`", "$", "\n", "\r", "<(", ">(", "{", "%0")
_HIDDEN = re.compile(
    r"^['\"]?(?:\\[nr])|\\[nr](?=$|\\|['\"]$)|\$\{?ifs\}?(?:\$\d)?|''|\"\"|\$[@*](?=\w)|\$\{[@*]\}|\\(?=[a-z])|\^(?=[a-z])|(?<=[a-z])['\"](?=[a-z])|"
    r"\$\(\)|(?<!`)``(?!`)|(?<=[a-z])\$u(?=/| )"
)
_SUGGESTING_WORDS: Final = (
    "/bin/|/dev/|nc -|ncat|netcat|nc.|sh -i|rm -|:&|mkfs|dd if|/sd|() {|(){|curl|wget|fetch|python|perl|"
    "ruby|php|lua|node|socat|mkfifo|__import__|getruntime|processbuilder|child_process|eval|passthru|exec|"
    "system|popen|ifs|/etc/|/?|?/|b?n|*/|t*|crontab|authorized|chmod|history|xxd|telnet|awk|nslookup|"
    "base64|bash"
)
_SUGGESTING = tuple(_SUGGESTING_WORDS.split("|"))
_WINDOWS_WORDS: Final = (
    "powershell|pwsh|iex|invoke|new-object|.download|frombase64|iwr |start-process|cmd|certutil|bitsadmin|"
    "mshta|regsvr|rundll|wmic|executionpolicy|mppreference|get-content|net user|net localgroup|reg add|"
    "reg save|reg delete|schtasks|vssadmin|wscript|[system|$env:|remove-item"
)
_WINDOWS = tuple(_WINDOWS_WORDS.split("|"))


def scan(layer: Layer) -> Iterator[Hit]:
    """Commands in the layer that a shell would run."""
    text = layer.lower
    yield from _scan(text, layer)
    if any(mark in text for mark in _MARKS):
        opened = _HIDDEN.sub(_opened, text)
        if opened != text:
            hit = next(_scan(opened, layer), None)
            if hit is not None:
                yield hit._replace(why=hit.why + ", once the shell has taken its quotes away")


def _opened(found: re.Match[str]) -> str:
    return "\n" if found[0][-2:] in ("\\n", "\\r") else " " if "ifs" in found[0] else ""


def _scan(text: str, layer: Layer) -> Iterator[Hit]:
    found = _SIGNATURE.search(text) if any(word in text for word in _SUGGESTING) else None
    if found:
        yield Hit("command.signature", "a command line that takes a machine over or destroys it", *found.span())
    found = _POWERSHELL.search(text) if any(word in text for word in _WINDOWS) else None
    if found:
        yield Hit("command.windows", "a command line of Windows that loads or runs code", *found.span())
    if not any(mark in text for mark in _MARKS):
        return
    ticks = last = 0
    for found in _BEHIND.finditer(text):
        ticks += text.count("`", last, found.start())
        last = found.start()
        if _is_behind_a_value(text, found, layer, ticks):
            kind = "substitution" if found["opener"] in ("`", "$(", "<(", ">(") else "chain"
            yield Hit(
                f"command.{kind}", f"the command {found['name']} behind {found['opener']!r}", found.start(), found.end()
            )
            return


def _is_behind_a_value(text: str, found: re.Match[str], layer: Layer, ticks: int) -> bool:
    opener, name, end = found["opener"], found["name"], found.end()
    follows = text[end : end + 80]
    if opener in ("\n", "\r"):
        if not layer.way and (len(text) > 300 or text.count("\n", 0, 301) > 2):
            return False
    elif opener == "`" and (
        ticks % 2
        or text[max(0, found.start() - 1) : found.start()] == ":"
        or "``" in text[max(0, found.start() - 1) : found.start() + 2]
        or _is_prose(text, found.start())
    ):
        return False
    if _CODE.match(follows) and not (opener in ("`", "$(") and follows[:1] not in ("=", "(")):
        return False
    strong = name in _STRONG_NAMES or found["place"] is not None
    if (opener == "&" and follows[:1] in ("=", ";")) or (name == "base64" and follows[:1] == ","):
        return False
    evidence = _SURE if name in _ENGLISH else _EVIDENCE
    if not (strong and opener not in ("|", "{")) and not evidence.match(follows):
        return False
    if opener == "|" and _is_cell(text, found.start(), follows):
        return False
    return not _is_command_line(text, found.start(), opener, name, layer.is_bare)


def _is_prose(text: str, at: int) -> bool:
    """Whether the backtick at `at` is a code span of Markdown: at least three words stand around it."""
    end = text.find("`", at + 1, at + 300)
    around = text[max(0, at - 200) : at].split()[-12:] + (text[end + 1 : end + 200].split()[:12] if end > 0 else [])
    return sum(1 for word in around if word.strip(".,:;!?()*_#-").isalpha() and len(word) > 1) >= 3


def _is_cell(text: str, at: int, follows: str) -> bool:
    """Whether the pipe at `at` belongs to a table, a pattern or a type: `| id | name |`, `(cat|dog)`, `a | id`."""
    before = text[max(0, at - 40) : at]
    if (
        re.match(r"\s?\|(?:\s|$)", follows)
        and text.count("|", max(0, at - 200), at + 200) > 2
        and " | " in before + "| " + follows
    ):
        return True
    many = "(" in text[:400] or text.count("|", 0, 400) > 2
    return bool(
        many
        and before[-1:].isalnum()
        and follows[:1] in ("|", ")", "`", '"', "'", "]")
        and text[at + 1 : at + 2] != " "
    )


def _is_command_line(text: str, at: int, opener: str, name: str, is_bare: bool) -> bool:
    """Whether what stands before the opener is a command line itself, or the words of somebody who explains one."""
    line = text[max(0, at - 200) : at]
    start = max(line.rfind(mark) for mark in ("\n", ";", "|", "&", "`", "(", '"', "'"))
    head = line[start + 1 :].strip().lstrip("$#>").split()
    if opener == "|" and name in _FILTERS and (len(line[:start].split()) > 0 or len(head) > 1):
        return True
    if (
        opener != "`"
        and head
        and head[0].isalpha()
        and any(word[0] == "-" and word[1:2].isalpha() for word in head[1:])
    ):
        return True
    if not head:
        # `a || b`: nothing between two openers, or the beginning of the text.
        return False
    if (
        opener in ("$(", "<(", "`")
        and re.match(r"(?:\w+\s+){0,3}[a-z_]\w*=", " ".join(head))
        and not re.search(r"[?&/.@]", " ".join(head))
    ):
        return True
    if any(word.rsplit("/", 1)[-1] in _HEADS for word in head[-8:]):
        return not (
            len(head) == 1
            and head[0]
            in (
                "test",
                "user",
                "host",
                "id",
                "w",
                "command",
                "query",
                "at",
                "file",
                "date",
                "type",
                "false",
                "true",
                "yes",
                "last",
            )
        )
    if head[0].startswith("./"):
        return True
    return opener in (";", "&") and len(head) >= 6
