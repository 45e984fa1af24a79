"""Signs of life from those that do the work: nobody else may say that the daemon is alive.

A beat is a call to the ledger that came back, and a round of the inbound pipeline that went by after
it was asked for one. A thread of its own, or a timer, would go on telling while all work stands.
"""

from collections.abc import Callable
from contextlib import suppress

import anyio

from revsyncd.core.errors import NoSpace
from revsyncd.pipelines.instance import Instance

EVERY = 5.0  # seconds between two beats, where the service manager does not want them more often
LONGEST = (
    90.0  # seconds without a beat that are still called alive: longer than any restart's pause
)


class Pulse:
    """When ledger and inbound pipeline last showed that they go on."""

    def __init__(self, instance: Instance, rounds: Callable[[], int]) -> None:
        """`rounds` is how often the inbound pipeline has gone round."""
        self._instance = instance
        self._rounds = rounds
        self._seen = rounds()
        now = instance.clock.monotonic()
        self._beats = {"the ledger": now, "the inbound pipeline": now}

    async def beat(self) -> None:
        """Ask both for a sign; returns when the ledger has given its own. Raises NoSpace."""
        it = self._instance
        it.register.changed.nudge()
        await it.ledger.run(it.ledger.book.head)
        self._beats["the ledger"] = it.clock.monotonic()
        if self._rounds() != self._seen:
            self._seen = self._rounds()
            self._beats["the inbound pipeline"] = it.clock.monotonic()

    async def keep(self, every: float, tell: Callable[[], None] | None) -> None:
        """Beat for ever, and tell whoever wants it while nobody is missing; no sign is better than a false one.

        A ledger that can't be read now gives none.
        """
        while True:
            with suppress(NoSpace):
                await self.beat()
                if tell is not None and not self.missing():
                    tell()
            await anyio.sleep(every)

    def missing(self) -> list[str]:
        """Who has not given a sign for too long, in words; empty: the daemon is alive."""
        now = self._instance.clock.monotonic()
        silent = {who: now - at for who, at in self._beats.items() if now - at > LONGEST}
        return [f"{who} has shown no progress for {age:.0f} s" for who, age in silent.items()]
