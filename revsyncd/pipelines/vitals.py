"""What of a running daemon others may look at: the listener reads it, and changes nothing."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from revsyncd.pipelines.instance import Instance
from revsyncd.pipelines.pulse import Pulse


class Listener(Protocol):
    """What serves the vitals to others; it counts from when it is made until it is closed."""

    close: Callable[[], None]

    async def run(self) -> None:
        """Serve under the configuration of this moment, until cancelled."""
        ...


@dataclass(slots=True)
class Vitals:
    """The instance and what only its daemon knows, asked for when it is needed."""

    instance: Instance
    pulse: Pulse
    uploads_in_flight: Callable[[], int]
    token_expires: Callable[[], float | None]  # seconds since the epoch
    services: Callable[[], Iterable[str]]
    first_seen: Callable[
        [str, str], float | None
    ]  # a folder and a name in its inbox, epoch seconds
    ready: bool = False

    def not_ready(self) -> list[str]:
        """Why no work can be relied on now, each reason on one line; empty: it can."""
        it = self.instance
        if it.stopping:
            return ["stopping"]
        if not self.ready:
            return ["starting"]
        return [*self.pulse.missing(), *it.conditions.red()]


MakeListener = Callable[[Vitals], Listener]
