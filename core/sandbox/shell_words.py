"""What shells run, by how sure a sign each word is."""

from __future__ import annotations

import re
from typing import Final

STRONG: Final = (
    "whoami wget curl bash sh zsh ksh dash csh ash nc ncat netcat nslookup ifconfig ipconfig uname systeminfo "
    "tasklist netstat traceroute tracert "
    "chmod chown rm rmdir mkfifo powershell pwsh cmd certutil bitsadmin mshta regsvr32 rundll32 wmic schtasks "
    "crontab useradd adduser usermod passwd "
    "sudo ssh scp sftp telnet tftp socat xterm gawk xargs base64 xxd ls tac printenv lsof hostname dig mkfs "
    "iptables systemctl poweroff killall pkill busybox ps "
    "nmap netsh tcpdump egrep fgrep gunzip mv lwp-download whois getent ping6 dmesg arp su vim nano gdb strace op"
    "enssl "
    "net1 ss fping mknod sysinfo phpinfo"
)  # fmt: skip
WEAK: Final = (
    "cat id who w date time find sort head tail more less cut echo sleep kill host touch last split type "
    "dir reg service mount route ping python python2 "
    "python3 ruby node php perl env source exec eval sed awk gcc strings rev tar zip mail printf net copy "
    "del erase move start tree history jobs df du free uptime "
    "pwd cp ln dd nl od grep vi ed man tee reboot shutdown halt git mysql psql sqlite3 ver vol ftp ip lua "
    "md5sum stat ldd nohup timeout watch vmstat uptime groups "
    "command which whereis expr export alias wc rlogin logger fdisk lsblk lscpu apt-get yum pip npm "
    "systeminfo ipconfig nbtstat query net user sc at attrib icacls"
)  # fmt: skip
OTHERS: Final = (
    "cd exit docker kubectl npm pip3 cargo go make apt brew cmake mvn gradle terraform helm journalctl jq zcat re"
    "fold "
    "sudo yarn pnpm uv poetry export local  podman aws gcloud az rsync ffmpeg convert for while do then uniq tr "
    "gzip seq yes true false mkdir pushd  popd if tox pytest ruff mypy poetry bundle rake composer dotnet "
    "virtualenv conda bazel buf protoc openssl gpg ansible ansible-playbook vagrant heroku vercel fly gh hg svn "
    "redis-cli pg_dump pg_restore read printf sbt lein stack cabal "
)

NAMES: Final = "|".join(sorted(map(re.escape, {*STRONG.split(), *WEAK.split()}), key=lambda name: (-len(name), name)))
"""Strong and weak names as alternatives of a pattern, the longest first."""
