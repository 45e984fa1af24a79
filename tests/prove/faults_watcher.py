"""The watcher's ways to fail. Its events are nudges only: whatever becomes of them, files are found."""

from prove.fault import Fault

KIND = "The watcher fails"
FOUND = "files are found by looking, each is settled with its report"
FAULTS = (
    Fault(
        KIND,
        "more events than fs.inotify.max_queued_events",
        "the process stands still meanwhile; the last file's own event is lost",
        FOUND,
        "system/test_many_files.py::test_the_kernels_queue_overflows",
    ),
    Fault(
        KIND,
        "no watch is left",
        "a user namespace that has one watch",
        f"it is told with the sysctl to raise; {FOUND}",
        "system/test_many_files.py::test_no_watch_is_left",
    ),
    Fault(
        KIND,
        "no inotify instance is left",
        "a user namespace that has none",
        f"it is told with the sysctl to raise; {FOUND}",
        "system/test_arrivals.py::test_files_are_found_while_the_watcher_is_broken",
    ),
    Fault(
        KIND,
        "20,000 files at once",
        "renamed into four inboxes while the process stands still; the tenant keeps its answers back",
        "all are claimed, in bounded memory; after a kill each is there still, once, and they go on",
        "system/test_many_files.py::test_twenty_thousand_files_at_once",
    ),
    Fault(
        KIND,
        "2,000 files at once",
        "renamed into four inboxes while the process stands still",
        f"{FOUND}, in bounded memory",
        "system/test_many_files.py::test_two_thousand_files_at_once",
    ),
)
