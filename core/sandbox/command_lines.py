"""Command lines that take machines over, load code or destroy data, whatever stands around them."""

from __future__ import annotations

from typing import Final

from .shell_words import NAMES

POSIX: Final = (
    r"(?<!#!)/bin/(?:ba|z|k|c|da|tc)?sh\b\s{0,4}(?:-[ic]\b|[|;&0<>])",
    r"/dev/(?:tcp|udp)/[\w.$-]{1,64}/",
    r"\b(?:nc|ncat|netcat)(?:\.\w{3,12}|\.exe)?\s[^\n;|]{0,60}-[a-z]{0,4}[ec]\b",
    r"\b(?:ba|z|k)?sh\s+-i\b",
    r"\brm\s+(?:-{1,2}[a-z-]{1,20}\s+){1,3}[\"']?(?:/(?:\s|\*|$|[;&|\"'])|~|\$home|\*|/(?:etc|var|usr|home|"
    r"bin|boot|opt|root)\b|--no-preserve)",
    r":\s?\(\s?\)\s?\{\s?:\s?\|\s?:",
    r"(?:^|[;|&'\"{$(]\s{0,3})phpinfo\s?\(\s?\)",
    r"\{\s?\$\s?\{\s?\w{2,20}\s?\(",
    r"[;|&]\s?\{?\s?\$_(?:get|post|request|cookie)\b",
    r"^\s{0,4}(?:perl|ruby|php)\s+-[er]\s+['\"]",
    r"\bdd\s+if=[^\s]{1,80}\s+of=/dev/",
    r">\s?/dev/sd[a-z]",
    r"\(\)\s?\{\s?:?;?\s?\}\s?;",
    r"\b(?:curl|wget|fetch)\b[^\n|;]{1,200}\|\s?(?:sudo\s)?(?:ba|z|k)?sh\b",
    r"\b(?:python[23]?|perl|ruby|php|lua|node)\s+-(?:c|e|r|rsocket|msocket|mio)\s?['\"]?[^\n]{0,200}(?:socket|"
    r"exec|system|spawn|subprocess|fsockopen|popen|__import__|child_process|passthru|tcpsocket|io::)",
    r"\bsocat\s[^\n]{0,80}exec:",
    r"\bmkfifo\s+/tmp",
    r"__import__\s?\(\s?['\"](?:os|subprocess|pty|socket|commands|builtins)",
    r"\b(?:getruntime\s?\(\s?\)|processbuilder\s?\([^)]{0,80}\))\s?\.\s?(?:exec|start)",
    r"require\s?\(\s?['\"]child_process['\"]\s?\)\s?\.\s?(?:exec|spawn|fork)",
    r"\beval\s?\(\s?(?:base64_decode|atob|gzinflate|\$_(?:get|post|request|cookie)|compile|chr\s?\(|request\.)",
    rf"\b(?<![.\w])(?:passthru|shell_exec|system|popen|proc_open|pcntl_exec|eval|exec)\s?\(\s?(?:['\"](?:{NAMES})"
    rf"\b|\$_(?:get|post|request|cookie))",
    r"\$\{?ifs\b",
    r"\bcat\s?<\s?/etc/",
    r"\bcat\s+/etc/(?:passwd|shadow)\b\s{0,4}(?:$|[|>&;])",
    r"(?:^|[;&|`(\s])(?:/\?{2,}[/?*\w]{1,40}|/[a-z]{1,4}[?*]+[/\w?*]{2,40}|/b[?i][?n]/\S{0,20}[?*])\s",
    r"<!--#exec",
    r"\bcrontab\s+-[re]\s",
    r">>?\s?/etc/(?:passwd|cron|sudoers)",
    r"authorized_keys",
    rf"\bos\.(?:system|popen)\s?\(\s?['\"](?:{NAMES})\b[^'\"]{{0,80}}(?:[;|&>`$]|/etc/|https?:)",
    r"\bchmod\s+(?:[ugoa]*\+[xs]+|0?[4-7]?777)\s[^\n]{0,80}(?:/bin/|&&|;)",
    r"\bhistory\s+-c\b",
    r"\bbase64\s+(?:-d|--decode)\s?\|\s?(?:ba|z)?sh",
    r"\bxxd\s+-r\b[^\n]{0,20}\|\s?(?:ba)?sh",
    r"\btelnet\s\S{1,60}\s\d{1,5}\s?\|\s?/bin",
    r"\bawk\s+['\"]?begin\s?\{\s?(?:system|s\s?=)",
    r"\bfind\s[^\n]{1,80}-exec\s+(?:/bin/)?(?:ba)?sh",
    r"\bcurl\s[^\n]{0,100}(?:-d\s?@|--data(?:-binary)?\s?@|-f\s?[\w]{0,20}=@|-t\s)/?(?:etc|root|home|proc)/",
    r"\b(?:wget|curl)\s[^\n]{0,100}(?:;|&&)\s?(?:chmod|sh|bash|\./)",
    r"\bbash\s+-c\s+['\"{$]",
    r"\bnslookup\s+(?:`|\$\()",
)
"""For Unix, and for languages that start programs."""
WINDOWS: Final = (
    r"\b(?:powershell|pwsh)(?:\.exe)?\b[^\n]{0,80}\s-(?:e|en|enc|encodedcommand|ec|nop|noprofile|w|windowstyle|"
    r"exec|executionpolicy|ep|noni|noninteractive|sta)\b[^\n]{0,40}(?:hidden|bypass|-c|[a-z0-9+/=]{16}|"
    r"iex|-e|1|-file|-f|\(|http|unrestricted)",
    r"\b(?:iex|invoke-expression)\b\s{0,4}[(\"'$&]",
    r"\|\s?(?:iex|invoke-expression)\b",
    r"\bnew-object\s+(?:system\.)?(?:net\.(?:webclient|sockets)|io\.)",
    r"\.download(?:string|file|data)\s?\(",
    r"frombase64string\s?\(",
    r"\b(?:powershell|pwsh)(?:\.exe)?\s+(?:-c|-command|/c|iex|\(|\"|'|get-|invoke-|start-|whoami)",
    r"\binvoke-(?:webrequest|restmethod|command|wmimethod|mimikatz|shellcode)\b[^\n]{0,120}(?:\||-outfile|"
    r"-scriptblock|;|-uri\s+http|mimikatz)",
    r"\biwr\s[^\n]{1,120}(?:\||-outfile|-o\s)",
    r"\bstart-process\s[^\n]{0,80}(?:hidden|runas|cmd|powershell)",
    r"\bcmd(?:\.exe)?\s{0,4}/[ckr](?:\s|[\"'^])",
    r"\bcertutil(?:\.exe)?\s[^\n]{0,40}-(?:urlcache|decode|f\b)",
    r"\bbitsadmin\s[^\n]{0,40}/transfer",
    r"\bmshta(?:\.exe)?\s+(?:https?:|vbscript:|javascript:|\\\\)",
    r"\bregsvr32(?:\.exe)?\s[^\n]{0,40}/i:",
    r"\brundll32(?:\.exe)?\s[^\n]{0,20}(?:javascript:|,\s?\w)",
    r"\bwmic\s[^\n]{0,40}process\s+call",
    r"\bset-executionpolicy\s+(?:bypass|unrestricted)",
    r"\bset-mppreference\s+-disable",
    r"\bget-content\s[^\n]{0,60}\|\s?iex",
    r"\bnet\s+(?:user|localgroup)\s+\S{1,40}\s[^\n]{0,40}/add",
    r"\breg\s+(?:add|save|delete)\s+[\"']?hk",
    r"\bschtasks\s+/create",
    r"\bvssadmin\s+delete",
    r"\bwscript\.shell\b",
    r"\[system\.(?:net|reflection|diagnostics|convert|text)\.[\w.]{1,60}\]::",
    r"\$env:\w{1,30}\s?[;|]",
    r"\bremove-item\s[^\n]{0,60}-(?:recurse|force)\b[^\n]{0,40}-(?:recurse|force)",
)
"""For Windows."""
