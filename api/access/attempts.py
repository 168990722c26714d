"""How often an address has shown what does not count: guessing is slow, and guessers cannot fill the memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

ALLOWED = 600
"""So many refused credentials an address may show within a window; from then on it is told to wait. Nobody guesses 256
random bits: this only bounds the work that is done for who tries."""

WINDOW_SECONDS = 60.0
"""How long they are remembered."""

MOST_ADDRESSES = 10_000
"""So many addresses are remembered, those that failed last."""


class Attempts:
    """Refused credentials by address, in windows that begin with the first. `clock` gives seconds that only grow."""

    def __init__(self, clock: Callable[[], float]):
        self._clock = clock
        self._found: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait(self, address: str) -> int:
        """For how many whole seconds the address has to wait; 0 if it need not."""
        begun, count = self._found.get(address, (0.0, 0))
        left = begun + WINDOW_SECONDS - self._clock()
        return max(1, int(left + 0.999)) if count > ALLOWED and left > 0 else 0

    def failed(self, address: str) -> None:
        """Note that the address has shown what does not count."""
        now = self._clock()
        begun, count = self._found.pop(address, (now, 0))
        if now - begun >= WINDOW_SECONDS:
            begun, count = now, 0
        self._found[address] = (begun, count + 1)
        if len(self._found) > MOST_ADDRESSES:
            self._found.popitem(last=False)
