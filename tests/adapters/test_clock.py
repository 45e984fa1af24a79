import time

from revsyncd import ports
from revsyncd.adapters.clock import SystemClock


def test_clock() -> None:
    """The machine's clock is the port's: epoch seconds, and seconds that never go back."""
    clock: ports.Clock = SystemClock()
    before, between, after = time.time(), clock.now(), time.time()
    assert before <= between <= after
    first = clock.monotonic()
    assert first <= clock.monotonic()
