"""What attacks of SQL, and of document databases, are written like."""

from __future__ import annotations

from typing import Final

TIME: Final = (
    r"\b(?:or|and|xor)\s{1,4}(?:pg_)?sleep\s?\(",
    r"^[\d'\")]{0,8}\s{0,3}(?:or|and|\|\||&&|;)\s{0,3}(?:benchmark|sleep|waitfor)\b",
    r"^\W{0,4}(?:pg_)?sleep\s?\(['\"]?\d{1,9}['\"]?\)\s{0,4}(?:--|#|=|['\"])",
    r"^pg_sleep\s?\(\d+\)",
    r"&&\s{0,4}sleep\s?\(\d",
    r"(?:\b(?:and|or|xor|select|if|when|then|else|case|having|by|where)|[,'\"=+\-*/^|()])[\s('\"]{0,8}(?:sleep\s?\("
    r"\s?['\"(]?\d|pg_sleep\s?\()",
    r"\bselect\s+pg_sleep",
    r"\bbenchmark\s?\(\s?\d{3,}",
    r"\bwaitfor\s+(?:delay|time)\s+['\"n]",
    r"dbms_(?:pipe|lock|session)\.(?:receive_message|sleep)",
    r"randomblob\s?\(\s?\d{5,}",
    r"generate_series\s?\(\s?1\s?,\s?\d{6,}",
    r"\bdelay\s+'0?0:0?0:\d",
)

PROBE: Final = (
    r"['\"\d)]\s{0,3}order\s+by\s+\d{1,3}(?:\s?,\s?\d{1,3}){0,40}\s{0,3}(?:--|#|/\*|$)",
    r"\bextractvalue\s?\(\s?\w+\s?,",
    r"\bupdatexml\s?\(\s?\w+\s?,",
    r"\bxp_(?:cmdshell|dirtree|regread|fileexist)\b.{0,4}['\"(\s]",
    r"(?<!\.)\bload_file\s?\(",
    r"\binto\s+(?:out|dump)file\b",
    r"\butl_(?:http|inaddr|file|smtp)\.\w",
    r"\bctxsys\.",
    r"\bprocedure\s+analyse\s?\(",
    r"\bload_extension\s?\(",
    r"\bexp\s?\(\s?~",
    r"\bfloor\s?\(\s?rand\s?\(\s?0",
    r"^\W{0,4}order\s+by\s+\d{1,6}\s{0,4}$",
    r"\border\s+by\s+\d{1,6}\s{0,4}(?:--|#|/\*|\)?\s?;?\s?%00)",
    r"\bgroup\s+by\s+[\w.,\s]{1,60}\s+having\s+['\"\d(]",
    r"(?<![\w.])@@(?:version|hostname|datadir|servername|global)\b.{0,4}(?:--|,|\)|$)",
    r"\b(?:and|or|xor|\|\||&&)\s{0,4}[!~(]{0,3}\s{0,4}\(?\s{0,4}(?:exists\s{0,4}\(\s{0,4})?\(?\s{0,4}select\b",
    r"\b(?:and|or)\s{1,4}(?:not\s{1,4})?(?:ascii|ord|length|substring|substr|mid|char_length|if|elt|make_set|"
    r"hex|convert|cast|chr|rlike|row|user_name|db_name)\s?\(",
    r"(?:\|\||[+\-*/,=(^])\s{0,4}\(\s{0,4}select\s+(?:[\w()*@'.,\s\"|]{1,80}from\b|[@'(\d]|user|version|"
    r"database|current|pg_|sleep|char|chr|concat)",
    r"\bcase\s+when\s+\(?[\w\s=<>'()]{1,60}\)?\s*then\b.{0,80}\bend\b\s{0,4}(?:\)|--|#|$)",
    r"\bconcat\s?\(\s?0x",
    r"\bchar\s?\(\s?\d+\s?(?:,\s?\d+\s?){2,}\)",
    r"\bjson_keys\s?\(\s?\(?select",
    r"convert\s?\(\s?int\s?,",
)

NOSQL: Final = (
    r"\bdb\.\w{1,40}\.(?:insert|drop|remove|update|mapreduce|deletemany|dropdatabase)\s?\(",
    r"['\"\]}]\s?,\s?\$(?:comment|where|or|and|ne|gt)\s?:",
    r"^[^\w]{0,6}&(?:exists|ne|gt)['\"]?\s?:",
    r"^[^\w]{0,4}\$(?:ne|gt|gte)['\"]?\s?:\s?(?:null|['\"]|-?\d)",
    r"['\"]\s?;\s?(?:sleep\s?\(|return\b|it\s?=|while\s?\()",
    r"\$or['\"]?\s?:\s?\[\s?\{\s?\}",
    r"''\s?\}\s?\],",
    r"\[\$(?:ne|gt|lt|gte|lte|regex|where|exists|in|nin|or|and|not)\]",
    r"[\"']?\$where[\"']?\s?:\s?[\"']",
    r"[\"']\$(?:ne|gt|gte)[\"']\s?:\s?(?:null|[\"']{2}|-?\d{1,3}\s?\}|undefined|true|1\b)",
    r"[\"']\$regex[\"']\s?:\s?[\"']\^?\.\*",
    r"'\s?\|\|\s?'?\w{1,12}'?\s?={2,3}\s?'?\w",
    r";\s?return\s(?:true|this)",
    r"'\s?&&\s?this\.\w",
    r"\|\|\s?1\s?==\s?1",
    r"true,\s?\$where",
    r"[\"']\$(?:func|function|accumulator)[\"']",
)

DANGLING: Final = (
    # A value that is glued to something, called or compared, behind a quote that ends another value.
    r"^[\w@. -]{0,40}'\s?\|\|\s?(?:'[^'\n]{0,40}'\s?\|\|\s?'|\()",
    r"^[\w@.\\-]{0,40}['\"]\)*\s{0,3}(?:or|and|xor|\|\||&&)\s{0,3}(?:not\s)?\w{1,20}\s?\(",
    r"^[\w@.-]{0,40}['\"]\)*\s{1,3}(?:or|and)\s{1,3}\(?\w{0,12}\)?['\"]?\s{0,3}$",
    r"^['\"]\)*\s{1,4}(?:select|union|insert|delete|update|drop|exec|having)\s",
    r"^[\s)]{0,6}(?:or|and)\s{1,3}(?:n?'[^']{0,20}'?|\d{1,6})\s{0,3}(?:=|--|#|/\*|like\b)",
    r"^[\s)]{0,6}(?:or|and)\s{1,3}''\s?=",
    r"^[\s)]{0,6}(?:or|and)\s{1,3}\w{1,20}\s?\([^)\n]{0,20}\)\s?(?:--|#|/\*|=)",
    r"^\|\|\s?\(\w{1,20}\(|^\d{1,6}(?:or|and)\d{1,6}\s?=",
    r"^[\w@. -]{0,40}['\"]\s{0,4}(?:=|\|\||-|\^|\*|\+|<|>|like|<>|&|\||%|/|mod|div)\s{0,4}['\"]{1,2}[\w ]{0,10}['\""
    r"]?(?:\s{0,4}(?:=\s?['\"]?|--.*|#))?$",
    r"'\s?=\s?'\s?'?\s?(?:or|and|limit)\b",
    r"'=0--",
    r"'='\s{0,2}'or",
    r"^[\w@. -]{0,40}['\"]\)*\s{1,4}(?:or|and|xor|\|\||&&)\s{1,4}\(?['\"]?[\w=<>'\" ()]{0,40}['\"]?\s?(?:--|"
    r"#|/\*|;|limit\b)",
    r"^\W{0,4}(?:or|and)\s.{1,40}(?:--|#)\s{0,4}$",
    r"^['\"]\s{0,4}(?:or|and|xor)\s{0,4}['\"]",
    r"^(?:or|and)\s(?:true|false|1)$",
    r"^['\"]\)*[;\s]\s{0,4}(?:insert\s+into|create\s+user|delete\s+from|exec\s|grant\s|drop\s+table|update\s\w+\ss"
    r"et)\b",
    r"^[\w@.-]{0,40}['\"]\)*\s{0,3}(?:or|xor|\|\||&&|and)\s{0,3}(?:\d{1,6}|true|false|not\s\w{1,9}|'[^']{0,10}'|"
    r"[\w.]{1,20}\s?(?:like|is|in|=|<|>|between)\s?.{1,30})['\"]?$",
)

CATALOG: Final = (
    r"\bload\s+data\s+(?:local\s+)?infile\b|;\s*copy\s+\w{1,40}\s+(?:to|from)\s|^declare\s+@\w{1,20}\s+n?varchar",
    r"\b(?:from|join)\s+[\"`\[]?(?:information_schema\b|sys(?:objects|columns|users|databases|logins|processes|"
    r"ibm\.|cat\.|xlogins)|"
    r"sys\.(?:user|objects|tables|columns|databases|sql_logins|all_)|pg_(?:shadow|user|authid|roles|catalog|"
    r"database|tables|class)|"
    r"mysql\.(?:user|db)|master\.|msdb\.|sqlite_master|all_(?:users|tables|tab_|col_)|dba_|user_(?:tables|"
    r"tab_|objects|users|"
    r"password)|v\$\w|dual\b.{0,10}--)",
    r"^\W{0,3}(?:select|print)\s+(?:@@\w|current_setting\s?\(|system_user|session_user|host_name\s?\(|user\s?\(|"
    r"version\s?\(|"
    r"database\s?\(|db_name\s?\(|is_srvrolemember|is_member|serverproperty)",
    r"^if\s?\(\s?\d{1,6}\s?=\s?\d{1,6}\)\s{1,3}select\b",
    r"^backup\s+database\b.{1,80}\\\\",
    r"\b(?:exec|execute)\s{1,4}(?:master\.\.|master\.dbo\.|sp_|xp_)\w",
)
"""What reads the catalogs of databases: a statement of nobody who is after rows."""

STACKED: Final = (
    r";\s*select\s+\*\s*$",
    r"['\"]\s?;[^'\"\n]{1,60};?\s?--\s*$",
    r";\s*(?:drop\s+(?:table|database|schema|user|view|index|function|procedure|login|role)\b|delete\s+from\s+\w|"
    r"insert\s+into\s+\w"
    r"|update\s+[\w.\"`\[\]]{1,60}\s+set\s+\w|alter\s+(?:table|user|login|database|role)\b|create\s+(?:table|"
    r"user|login|or\s+replace|function|database|role|alias|trigger)\b"
    r"|exec(?:ute)?\s*(?:\(|\s(?:master|xp_|sp_|@|immediate|'))|shutdown\b|truncate\s+(?:table\s)?\w|"
    r"grant\s+\w{2,20}\s+(?:on|to)|declare\s+@|waitfor\s+(?:delay|time)|"
    r"select\s+(?:[\w*,@.\s'\"()]{1,80}\s+from\s+\w|pg_sleep|sleep|benchmark|@@|load_file|version|current_user|"
    r"user|\d)|copy\s+[\w(]|merge\s+into|set\s+@|call\s+\w+\(|attach\s+database|"
    r"if\s*\(|begin\s+(?:dbms|waitfor|declare)|rename\s+table|use\s+master|backup\s+database|replace\s+into|"
    r"union\s+select|vacuum\b|do\s+\$|load\s+data)",
)
"""Statements that end the one they are put into."""
