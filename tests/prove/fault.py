"""A row of the table of faults, as `docs/reliability.md` shows it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, how the test brings it about, what must happen, and which test that is."""

    kind: str  # the heading it stands under
    fault: str
    injected: str
    must: str
    test: str  # path below tests/, with ::name
