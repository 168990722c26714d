"""Settings by the environment: none is misspelt, and each can be read."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from ...compose import secret_vault
from ...core.checks import Check
from ...core.errors import CallError
from ...core.runtime.policy_file import read_policy
from ..settings import public_url, store_patience, token_issuer, webhook_allowed
from .patient import Patient

KNOWN = frozenset(
    f"REFOLD_{name}"
    for name in """ACCEPT_LOSS API_KEY ARCHIVE AUDIT AUDIT_KEY BUILD CERTIFICATES DATABASE_URL DATA_KEYS FILES_ROOT
    GOLDENS GOLDEN_KEYS KEY LOG OIDC_ALGORITHMS OIDC_AUDIENCE OIDC_ISSUER OIDC_JWKS OIDC_SCOPES_CLAIM
    OIDC_TENANT_CLAIM POLICY PUBLIC_URL SECRETS SHADOW_WEBHOOK STOP_FILE STORE_PATIENCE TRACEBACK URL WEBHOOK_ALLOW
    WEBHOOK_CA WEBHOOK_HTTP WEBHOOK_KEYS WEBHOOK_SECRET""".split()  # noqa: SIM905 - a list of words
) | {"WORKFLOW_EMERGENCY_STOP"}
"""All settings. A test compares them with what the program reads."""

PREFIXES = ("REFOLD_SECRET_", "REFOLD_TEST_")
"""What begins so is named by users, or of the tests."""

_ALIKE = 0.8
_POLICY = "REFOLD_POLICY"

_READ: dict[str, Callable[[], object]] = {
    "REFOLD_STORE_PATIENCE": store_patience,
    "REFOLD_PUBLIC_URL": lambda: public_url(None),
    "REFOLD_WEBHOOK_ALLOW": webhook_allowed,
    "REFOLD_OIDC_ISSUER": token_issuer,
    "REFOLD_SECRETS": secret_vault,
}


def settings(_patient: Patient) -> Check:
    """`settings`: no variable REFOLD_… is unknown, and those that can be wrong are not."""
    for name, read in _READ.items():
        try:
            read()
        except CallError as error:
            problem = error.problems[0]
            detail = f"{name}: {problem.reason}; {problem.fix}"
            return Check("settings", "failed", detail=detail, fix=f"unset {name}")
    unknown = sorted(name for name in os.environ if _is_unknown(name))
    if not unknown:
        return Check("settings", "ok", 0, 0, "unknown")
    name = unknown[0]
    near = next(iter(get_close_matches(name, KNOWN, 1, _ALIKE)), "")
    fix = f'export {near}="${name}"; unset {name}' if near else f"unset {name}"
    if not name.isidentifier():  # A shell could neither read nor unset it.
        fix = f"env -u {shlex.quote(name)} refold doctor"
    told = f"{', '.join(unknown)}: no such setting" + (f"; {near} is meant?" if near else "")
    return Check("settings", "warning", len(unknown), 0, "unknown", told, fix)


def _is_unknown(name: str) -> bool:
    if name in KNOWN or name.startswith(PREFIXES):
        return False
    # WORKFLOW_… may be anybody's, but an emergency stop that is misspelt stops nothing.
    return name.startswith("REFOLD_") or bool(get_close_matches(name, ["WORKFLOW_EMERGENCY_STOP"], 1, _ALIKE))


def policy(_patient: Patient) -> list[Check]:
    """`policy`: the file that REFOLD_POLICY names is one by which workers can go."""
    named = os.environ.get(_POLICY)
    if not named:
        return []
    try:
        found = read_policy(Path(named))
    except CallError as error:
        fix = f"refold policies check {shlex.quote(named)}"
        return [Check("policy", "failed", detail=str(error.problems[0].reason), fix=fix)]
    return [Check("policy", "ok", detail=found.label)]
