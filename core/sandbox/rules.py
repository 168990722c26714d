"""The rules of the sandbox: what is forbidden, what needs a key, what is exempt, and how far it looks.

They are data, so that they can be kept in a file of JSON or YAML, under a version of their own.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field

from ..errors import CallError, Problem
from ..spec_problems import kind_of
from ..strict_model import StrictModel, each, made

RULES_VERSION: Final = "1"
"""The version of the built-in rules; it changes with what they find."""
FORBIDDEN_SKILLS: Final = (
    "shell_exec",
    "os_command",
    "db_drop",
    "file_delete",
    "network_raw",
    "eval_code",
    "system_call",
)
"""The skills that no plan may call."""
Family = Literal["command", "sql", "path", "template", "prompt"]
"""The families of findings in text, which can be switched off for an argument."""


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]


_Name = Annotated[str, Field(min_length=1, max_length=200)]
_Names = Annotated[tuple[_Name, ...], Field(min_length=1), BeforeValidator(_tuple)]
"""An empty list of names is an error, so that nobody switches a rule off by leaving something out."""


class Exemption(StrictModel):
    """Families that do not count for one argument of one skill."""

    skill: _Name
    """The skill's id."""
    argument: Annotated[str, Field(pattern=r"^(?:/[^/]+)*$")]
    """RFC 6901 pointer within the step's inputs; what lies below is exempt too, and "" means all inputs."""
    families: Annotated[tuple[Family, ...], Field(min_length=1), BeforeValidator(_tuple)]
    """What is switched off."""


class SideEffect(StrictModel):
    """Calls that must carry an `idempotency_key`."""

    skill: _Name
    """The skill's id."""
    argument: _Name | None = None
    """The input that decides whether the call has a side effect; without it, each call has."""
    harmless: Annotated[tuple[_Name, ...], BeforeValidator(_tuple)] = ()
    """The values of `argument`, in capitals, that have none; what is not known before the run (a reference) has."""
    default: str = ""
    """The value of `argument` where it is left out."""


_EFFECTS = (
    SideEffect(skill="http_call", argument="method", harmless=("GET", "HEAD", "OPTIONS", "TRACE"), default="GET"),
    SideEffect(skill="db_write"),
    SideEffect(skill="file_write"),
)
# JMESPath has backticks and pipes of its own.
_EXEMPTIONS = (Exemption(skill="transform", argument="/expression", families=("command",)),)


class SandboxRules(StrictModel):
    """A set of rules. Raises CallError for one that says nothing, or that would forbid nothing."""

    version: Annotated[str, Field(min_length=1, max_length=100)] = RULES_VERSION
    """The version of the set; every report names it."""
    forbidden_skills: _Names = FORBIDDEN_SKILLS
    """Skills that no plan may call, in place of the seven; never empty."""
    also_forbidden: _Names | None = None
    """Skills that are forbidden beside those."""
    allowed_skills: _Names | None = None
    """If given, plans may call these alone; what is forbidden stays so."""
    side_effects: Annotated[
        tuple[Annotated[SideEffect, each(SideEffect)], ...],
        Field(min_length=1),
        BeforeValidator(_tuple),
    ] = _EFFECTS
    """Calls that must carry an idempotency key."""
    exemptions: Annotated[
        tuple[Annotated[Exemption, each(Exemption)], ...],
        BeforeValidator(_tuple),
    ] = _EXEMPTIONS
    """Families that do not count for single arguments."""
    max_depth: Annotated[int, Field(ge=1, le=8)] = 4
    """Rounds of decoding: how deep encodings may be nested in each other and are still looked into."""
    max_characters: Annotated[int, Field(ge=10_000, le=1_000_000_000)] = 2_000_000
    """Characters of all strings that are looked at in one plan; a plan that holds more is refused."""
    max_findings: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Violations in a report, and warnings; no more are looked for."""

    @classmethod
    def parse(cls, value: object) -> Self:
        """The rules that the decoded JSON or YAML `value` describes. Raises CallError."""
        if not isinstance(value, dict):
            raise CallError(Problem("", f"rules must be an object, not {kind_of(value)}", "begin with version"))
        return made(cls, value)
