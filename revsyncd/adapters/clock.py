"""The machine's clocks, as `revsyncd.ports.Clock` asks for them."""

import time


class SystemClock:
    """Wall time for people, monotonic time for durations."""

    def now(self) -> float:
        """Seconds since the epoch; may jump when the clock is set."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never jumps."""
        return time.monotonic()
