"""Where the files lie that some resources need, and what webhooks may reach: what a server is told when it starts."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from ..core.addresses import Allowed
from ..core.errors import InvalidError
from .missing import not_configured

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Places:
    """Each None: the server was not told. `golden_keys` and `webhook_keys` are files of secrets."""

    goldens: Path | None = None
    golden_keys: Path | None = None
    tree: Path | None = None
    certificates: Path | None = None
    webhook_keys: Path | None = None
    webhook_allowed: Allowed = field(default_factory=Allowed)

    def need_goldens(self) -> Path:
        """The folder of goldens. Raises Refusal."""
        return _need(self.goldens, "goldens", "set REFOLD_GOLDENS")

    def need_golden_keys(self) -> Path:
        """The file of their keys. Raises Refusal."""
        return _need(self.golden_keys, "the goldens' keys", "set REFOLD_GOLDEN_KEYS")

    def need_tree(self) -> Path:
        """The folder of the tree over the log. Raises Refusal."""
        return _need(self.tree, "the tree over the log", "set REFOLD_AUDIT")

    def need_certificates(self) -> Path:
        """The folder of certificates. Raises Refusal."""
        return _need(self.certificates, "certificates", "set REFOLD_CERTIFICATES")

    def need_webhook_keys(self) -> Path:
        """The file of webhooks' secrets. Raises Refusal."""
        return _need(self.webhook_keys, "the webhooks' secrets", "set REFOLD_WEBHOOK_KEYS")


NOWHERE = Places()
"""Nothing was told."""


def _need(place: T | None, what: str, setting: str) -> T:
    if place is None:
        raise not_configured(what, setting)
    return place


@contextmanager
def usable(what: str) -> Generator[None]:
    """Within, files of the server's own are read: what is wrong with them is logged, for it names paths, and told as a
    Refusal that does not."""
    try:
        yield
    except InvalidError as error:
        _log.error("%s: %s", what, error)
        raise not_configured(what, "the files that it was told of cannot be used; its log says why") from None
