"""Whether the idle daemon's memory grows with what it has done: `make bench-memory`.

The real daemon as a process, against the simulator as another. Files are dropped one after the other;
after each that is told of below, and once more when the last one is long done, the resident memory of
the idle daemon is printed. It may not be more after a hundred files than before the first.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

if __name__ == "__main__":  # a script beside the package that it measures
    sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.daemon import CONFIG, TEMPLATE, Daemon, file_of, simulator

TOLD = (1, 10, 25, 50, 100)
_QUIET = 2.0  # seconds in which what a file has begun comes to rest


def idle_memory(daemon: Daemon) -> str:
    """The resident memory in MB, and how much of it is the daemon's own."""
    time.sleep(_QUIET)
    return f"{daemon.memory('VmRSS'):8.1f}{daemon.memory('RssAnon'):12.1f}"


def main() -> None:
    """Drop files and print what the daemon takes."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--files", type=int, default=100)
    options.add_argument("--records", type=int, default=5000)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, simulator() as tenant:
        base = Path(folder)
        for name in ("root", "state", "root/orders/inbox"):
            (base / name).mkdir(parents=True, exist_ok=True)
        config = base / "config.toml"
        places = {"root": base / "root", "state": base / "state", "template": TEMPLATE}
        config.write_text(CONFIG.format(**tenant, **places))
        secrets = {
            "BENCH_USERNAME": tenant["username"],
            "BENCH_PASSWORD": tenant["password"],
        }
        daemon = Daemon(config, {**os.environ, **secrets})
        try:
            measure(daemon, base / "root/orders/inbox", tenant["templates"][TEMPLATE], chosen)
        finally:
            daemon.stop()


def measure(daemon: Daemon, inbox: Path, labels: list[str], chosen: argparse.Namespace) -> None:
    """Drop one file after the other, and print a line now and then."""
    print(f"{'after files of ' + format(chosen.records, ','):24}{'resident MB':>8}{'own MB':>9}")
    print(f"{0:24}{idle_memory(daemon)}")
    for number in range(1, chosen.files + 1):
        content = file_of(labels, number, chosen.records)
        (inbox / f"file{number}.csv").write_bytes(content)
        daemon.wait("drop.done")
        if number in TOLD or number % TOLD[-1] == 0:
            print(f"{number:24}{idle_memory(daemon)}", flush=True)


if __name__ == "__main__":
    main()
