"""Which drop is meant: its id, an unambiguous beginning of it, or the dropped file's name."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from revsyncd.adapters.clock import SystemClock
from revsyncd.adapters.ledger import Ledger
from revsyncd.cli.group import Failure
from revsyncd.config import Config
from revsyncd.core.drop import Drop
from revsyncd.core.places import is_drop_id, meant, shown

_LOOKED_AT = 10  # drops that the ledger names for one beginning: so many may not be all


@contextmanager
def reading(config: Config) -> Iterator[Ledger]:
    """The ledger, beside a daemon that may be running. Raises RevsyncdError when there is none."""
    with Ledger.read(config.state_dir, SystemClock().now) as ledger:
        yield ledger


def the_drop(ledger: Ledger, text: str, fits: Callable[[Drop], bool] | None = None) -> Drop:
    """The drop that `text` means.

    Of several the only one that `fits` is taken: yesterday's done `orders.csv` does not make
    today's held one ambiguous to `resolve`. Raises Failure naming the candidates.
    """
    exact = ledger.drops.get(text.upper()) if is_drop_id(text.upper()) else None
    if exact is not None:
        return exact
    found = ledger.drops.find(text) or ledger.drops.find(meant(text))
    if not found:
        raise Failure(
            [f"there is no drop {shown(meant(text))}"],
            "`revsyncd status` lists them; give an id, its beginning, or the dropped file's name",
        )
    if len(found) > 1 and fits is not None and len(found) < _LOOKED_AT:
        found = [drop for drop in found if fits(drop)] or found
    if len(found) > 1:
        raise _ambiguous(text, found)
    return found[0]


def _ambiguous(text: str, found: list[Drop]) -> Failure:
    candidates = [f"  {d.drop}  {d.folder}/{shown(d.file)}  {d.state}" for d in found]
    more = ["  …"] if len(found) >= _LOOKED_AT else []
    return Failure(
        ["\n".join([f"{shown(text)} may be any of these drops:", *candidates, *more])],
        "name one of them by its id",
    )
