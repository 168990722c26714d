"""The moment at which a call gets its secrets: after all that is recorded of its inputs has been made."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, Final

from ..canonical import Payload
from ..errors import Failure, NotCanonicalError
from ..secret_marks import Sealed, revealed
from .context import StepContext
from .masked_logs import keep_out_of_logs
from .masking import Mask, mask_of
from .payloads import payload_of
from .secret_sources import Vault
from .skill import Skill
from .wait import Wait

NO_SECRETS: Final = Vault()
"""Knows none: where nobody has said where secrets come from."""


def opened(sealed: Sealed, inputs: Payload, vault: Vault) -> tuple[bytes, Mask]:
    """The inputs as the skill gets them, and what keeps their secrets out of all that comes of it. May block.

    Raises Failure, see `Vault.values`.
    """
    values = vault.values(sealed.names, sealed.tenant)
    keep_out_of_logs(values)
    mask = mask_of(frozenset(values.items()))
    try:
        return Payload.of(revealed(inputs.fresh(), sealed.marks, values)).data, mask
    except NotCanonicalError:  # a lone surrogate, from an environment that is no UTF-8
        names = ", ".join(sealed.names)
        raise Failure("SECRET_REFUSED", f"of the secrets {names} one is no Unicode text", retryable=False) from None


def bound_secretly(
    skill: Skill[..., Any], data: bytes, sealed: Sealed, inputs: Payload, context: StepContext | None
) -> dict[str, Any]:
    """`skill.binder` on inputs with secrets, whose failure shows no part of any value."""
    try:
        return skill.binder(data, context)
    except Failure:
        # What is wrong with the placeholders as well can be shown with these.
        skill.binder(inputs.data, context)
    reason = f"an input with a secret ({', '.join(sealed.names)}) is not what its parameter takes"
    raise Failure("SKILL_INPUT_INVALID", f"skill {skill.skill_id!r}: {reason}", retryable=False)


def check_wait(wait: Wait, mask: Mask) -> None:
    """Raises Failure SECRET_EXPOSED for a wait that would record a secret: in the inputs of a child, in what people are
    asked, or as a name."""
    told = replace(wait, output=None)
    name = mask.named_in_text(repr(told))
    with suppress(NotCanonicalError):  # It is refused for that.
        name = name or mask.named_in(payload_of(asdict(told)))
    if name is not None:
        message = f"the secret {name!r} would be recorded in what the step waits for; let the child ask for it itself"
        raise Failure("SECRET_EXPOSED", message, retryable=False)


def check_sensitive_wait(wait: Wait) -> None:
    """Raises Failure SENSITIVE_UNDECLARED for a request to people made of sensitive data: it is recorded as it is."""
    if wait.approval is not None:
        message = "what people are asked to approve is recorded, and this step works on sensitive data"
        raise Failure("SENSITIVE_UNDECLARED", message, retryable=False)
