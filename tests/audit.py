"""The promise's invariants after a test: ledger, folders and what the tenant holds, all compared.

`tests/bench.py` and the fixtures of the system tests call `require_clean` when a test has passed. A
test that damages things on purpose is named in `DAMAGED` with the reason.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from revsyncd.adapters.ledger import Ledger
from revsyncd.adapters.ledger.book import FILE_NAME
from revsyncd.config import Config, load
from revsyncd.core.drop import Drop
from revsyncd.core.part import Part, PartState
from revsyncd.pipelines.auditing import audit

# Tests whose trees are not as promised, and why that is right.
DAMAGED = {
    "test_desk.py::test_other_bytes": "overwrites a held file",
    "test_desk.py::test_lost_file": "takes a held file away",
    "test_batches.py::test_a_full_outbox_confirms_nothing_and_goes_on_by_itself": "unmounts its disk",
    "test_batches.py::test_a_read_only_outbox_confirms_nothing_and_goes_on_by_itself": "unmounts its disk",
    "test_folders.py::test_a_full_disk_stops_its_own_folder_only": "unmounts its disk",
    "test_once.py::test_without_the_commit_before_the_last_chunk_the_kill_posts_twice": "is there to",
    "test_signals.py::test_sighup_with_a_broken_configuration_keeps_the_old_one": "breaks its config",
    "test_signals.py::test_a_configuration_that_cannot_be_used_ends_with_78": "breaks its config",
    "test_rebuilding.py::test_a_file_without_a_report": "the report that named its upload is gone",
    "test_rebuilding.py::test_an_unreadable_report": "the report that named its upload is torn",
    "test_upgrade.py::test_a_ledger_of_the_first_release_goes_on": "its tenant is a new one",
    "test_upgrade.py::test_what_the_first_release_posted_is_remembered": "its tenant is a new one",
    "test_upgrade.py::test_commands_wait_for_the_upgrade": "its ledger is never upgraded",
    "test_filing.py::test_a_lost_file_does_not_keep_its_report_from_being_written": "removes a file",
}

_AT_TENANT = (PartState.ACCEPTED, PartState.STAGED, PartState.IN_DOUBT, PartState.RELEASED)


@dataclass(frozen=True, slots=True)
class Held:
    """An upload that the tenant holds: `state` is received, staged or refused."""

    template: str
    file_name: str
    sha256: str
    state: str

    @classmethod
    def of_simulator(cls, upload: Any) -> "Held":
        """From an upload of the simulator's world."""
        state = str(upload.state.value)
        return cls(upload.template.name, upload.file_name, upload.sha256, state)

    @classmethod
    def of_strict(cls, stored: Any) -> "Held":
        """From what the strict tenant stored."""
        state = "refused" if stored.refused else "staged"
        return cls(stored.template, stored.file_name, sha256(stored.body).hexdigest(), state)


def require_clean(config: Path, held: Iterable[Held]) -> None:
    """Fail the current test when any invariant is broken, unless it is named in `DAMAGED`."""
    if _test() not in DAMAGED and (found := violations(load(config), held)):
        raise AssertionError("\n".join(["the audit after the test found:", *found]))


def _test() -> str:
    """The file and function that pytest runs now, as `test_desk.py::test_other_bytes`."""
    path, _, rest = os.environ["PYTEST_CURRENT_TEST"].partition("::")
    return f"{path.rpartition('/')[2]}::{rest.split('[')[0].split()[0]}"


def violations(config: Config, held: Iterable[Held]) -> list[str]:
    """Everything broken, on this side and between the two sides."""
    found = [str(violation) for violation in audit(config).violations]
    if (config.state_dir / FILE_NAME).exists():
        with Ledger.read(config.state_dir, lambda: 0.0) as ledger:
            found += _with_tenant(ledger, list(held))
    return found


def _with_tenant(ledger: Ledger, held: list[Held]) -> Iterator[str]:
    drops = {drop.drop: drop for drop in ledger.drops.after(0, limit=100_000)}
    parts = {p.file_name: p for drop in drops for p in ledger.drops.parts(drop)}
    yield from _unknown(held, parts, drops)
    yield from _twice(held, parts, drops)
    yield from _not_whole(held, parts, drops)


def _unknown(held: list[Held], parts: dict[str, Part], drops: dict[str, Drop]) -> Iterator[str]:
    """What the tenant holds the ledger knows, and does not take for absent."""
    for upload in held:
        part = parts.get(upload.file_name)
        if part is None:
            yield f"the tenant holds {upload.file_name}, which the ledger does not know"
        elif upload.sha256 != part.sha256:
            yield f"the tenant holds other bytes as {upload.file_name} than the ledger says"
        elif upload.state != "refused" and _taken_for_absent(part, drops[part.drop]):
            yield f"the tenant holds {upload.file_name}, which is {part.state} for the ledger"


def _taken_for_absent(part: Part, drop: Drop) -> bool:
    return part.state not in _AT_TENANT and drop.resolved is None


def _twice(held: list[Held], parts: dict[str, Part], drops: dict[str, Drop]) -> Iterator[str]:
    """A content is held once unless a person said otherwise of one of the drops that brought it."""
    taken = [upload for upload in held if upload.state != "refused"]
    for (template, digest), times in Counter((u.template, u.sha256) for u in taken).items():
        names = [u.file_name for u in taken if (u.template, u.sha256) == (template, digest)]
        on_word = sum(drops[parts[n].drop].resolved is not None for n in names if n in parts)
        if times - on_word > 1 or (times > 1 and not on_word):
            yield f"the tenant holds the content of {', '.join(names)} {times} times"


def _not_whole(held: list[Held], parts: dict[str, Part], drops: dict[str, Drop]) -> Iterator[str]:
    """What counts as staged is held, staged, unless a person took it as arrived."""
    staged = Counter(upload.file_name for upload in held if upload.state == "staged")
    for part in parts.values():
        proven = part.state is PartState.STAGED and drops[part.drop].resolved is None
        if proven and not staged[part.file_name]:
            yield f"{part.file_name} counts as staged, and the tenant does not have it"
