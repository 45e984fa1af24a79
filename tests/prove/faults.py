"""The faults that are tried, as data: `docs/reliability.md` shows them, and a test compares the two.

To add one, append a row here or to the table of its kind, name the test that tries it, and run
`make prove`, or `PYTHONPATH=tests:. python -m prove.report` for the tables alone.
"""

from prove import faults_disk, faults_network, faults_security, faults_watcher
from prove.fault import Fault

NOTHING = "started again, every drop ends as if nothing had happened, or is held in doubt if its last chunk may have left"

_STOPS: tuple[Fault, ...] = (
    Fault(
        "The process is killed",
        "`kill -9` before and after every transition and side effect",
        "named failpoints around the ledger, the folders and the tenant's client, in a real process",
        NOTHING,
        "prove/test_kills.py::test_killed_at_every_named_step",
    ),
    Fault(
        "The process is killed",
        "`kill -9` at the N-th fsync, rename, unlink, mkdir, write, send, receive or connect",
        "`strace -e inject=…:signal=SIGKILL:when=N` for N = 1, 2, 3 … until the run survives; writes at a tenth of the N, six of the ten scenes at a fourth",
        NOTHING,
        "prove/test_kills.py::test_killed_at_every_system_call",
    ),
    Fault(
        "The process is killed",
        "`kill -9` at a moment of chance",
        "200 seeded moments over all scenes",
        NOTHING,
        "prove/test_kills.py::test_killed_at_moments_of_chance",
    ),
    Fault(
        "The process is killed",
        "`kill -9` under load, 500 times",
        "seeded moments on long-lived trees, while drops in several folders, parts of both upload calls, splits, duplicates, status polling and batches are under way",
        "every record is at the tenant exactly once, or its file is held in doubt with a report; never both, never neither",
        "prove/test_load.py::test_killed_500_times_under_load",
    ),
    Fault(
        "The process is asked to stop",
        "SIGTERM under load, 100 times",
        "the same stream and the same moments, from the first log line on",
        "exit code 0; nothing is in doubt, since the tenant answers within the stop time-out; every record is there exactly once",
        "prove/test_load.py::test_stopped_100_times_under_load",
    ),
    Fault(
        "Power is lost",
        "nothing survives that was not synced",
        "a run is recorded by strace; the tree is rebuilt at every prefix from what fsync made durable, the tenant holding what had reached it",
        NOTHING,
        "prove/test_power_loss.py::test_power_is_lost_at_every_moment",
    ),
    Fault(
        "Power is lost",
        "names survive in order, unsynced bytes do not",
        "the same; every rename and removal is kept, and each file has the bytes of its last fsync",
        NOTHING,
        "prove/test_power_loss.py::test_power_is_lost_at_every_moment",
    ),
)

FAULTS = (
    *_STOPS,
    *faults_network.FAULTS,
    *faults_disk.FAULTS,
    *faults_watcher.FAULTS,
    *faults_security.FAULTS,
)
