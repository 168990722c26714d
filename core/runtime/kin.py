"""What connects the runs of one process with each other: children begin, and news of their end arrives at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..decision import Named
from ..ports import Ack, Unit
from ..run_state import RunState
from .attempt import Result
from .children import Children
from .outbox import Outbox
from .relations import Handover, Letter


class Kin:
    """Fulfils `refold.core.runtime.services.Family`. `stir` is told of runs that have just been sent a message, and of
    which kind, `begun` of those that have just begun.
    """

    def __init__(self, children: Children, outbox: Outbox):
        self.stir: Callable[[str, str], None] = _nothing
        self.begun: Callable[[str], None] = _nothing
        self._children = children
        self._outbox = outbox

    async def admit(self, parent: RunState, step: Named, result: Result) -> Result:
        """See `Children.admit`."""
        return await self._children.admit(parent, step, result)

    def append(
        self, unit: Unit, letters: Sequence[Letter], legacy: Handover | None, done: Callable[[Ack], None]
    ) -> None:
        """See `Outbox.append`."""
        self._outbox.append(unit, letters, legacy, done, lambda letter: self.stir(letter.stream, letter.message.kind))

    def began(self, stream: str) -> None:
        """A run has been begun, durably."""
        self.begun(stream)

    @property
    def waits(self) -> bool:
        """Whether no message is under way."""
        return self._outbox.waits

    async def close(self) -> None:
        """Wait for what is under way."""
        await self._outbox.close()


def _nothing(*_: str) -> None:
    """Nobody is told."""
