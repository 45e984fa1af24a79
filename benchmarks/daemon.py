"""What the daemon costs and how fast it is, measured on this machine: `make bench`.

The real daemon as a process, against the simulator as another, over the loopback. Prints a table:
start, drop to upload beyond the settle time, time per small file, memory idle and at its peak.
"""

import argparse
import csv
import io
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

TEMPLATE = "Small Transactions"
SETTLE = 0.2  # seconds
CONFIG = """
root = "{root}"
state_dir = "{state}"
[tenant]
base_url = "{base_url}"
role = "{role}"
client_name = "{client_name}"
username = "env:BENCH_USERNAME"
password = "env:BENCH_PASSWORD"
[templates.orders]
template_name = "{template}"
settle_time = "200ms"
order = "none"
"""


def file_of(labels: list[str], number: int, records: int) -> bytes:
    """A file with its own content: no two are duplicates."""
    values = {"Type": "SO", "Start Date": "01-JAN-2026", "End Date": "31-DEC-2026", "Curr": "USD"}
    text = io.StringIO(newline="")
    out = csv.writer(text)
    out.writerow(labels)
    for record in range(records):
        own = {"Doc Line Id": f"{number}-{record}", "Ext Sll Prc": "10.00"}
        out.writerow([{**values, **own}.get(label, f"{label} {number}") for label in labels])
    return text.getvalue().encode()


class Daemon:
    """The daemon as a process, and its log."""

    def __init__(self, config: Path, env: dict[str, str]) -> None:
        """Start it and wait until it is ready."""
        began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "revsyncd", "run", "--config", str(config)],
            stdout=subprocess.PIPE,
            env=env,
            text=True,
        )
        self.log: IO[str] = self.process.stdout  # type: ignore[assignment]
        self.wait("daemon.ready")
        self.start_seconds = time.monotonic() - began

    def wait(self, event: str, times: int = 1) -> list[dict[str, Any]]:
        """Read the log until the event has come so often; returns every line read."""
        lines = []
        for text in self.log:
            line = json.loads(text)
            lines.append(line)
            times -= line["event"] == event
            if times == 0:
                return lines
        raise SystemExit("the daemon ended: see its log above")

    def memory(self, field: str) -> float:
        """A field of /proc/<pid>/status in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(x.split()[1]) for x in status.splitlines() if x.startswith(field)) / 1024

    def cpu_seconds(self) -> float:
        """Processor time used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End it politely."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


@contextmanager
def simulator() -> Iterator[dict[str, Any]]:
    """The tenant as a process of its own; gives its first line."""
    command = [sys.executable, "-m", "revsyncd", "simulate"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)


def seconds(line: dict[str, Any]) -> float:
    """A log line's time as seconds since the epoch."""
    return datetime.fromisoformat(line["ts"]).timestamp()


def latency(daemon: Daemon, inbox: Path, labels: list[str], drops: int) -> list[float]:
    """Seconds from the end of a write to the begin of its upload, less the settle time."""
    found = []
    for number in range(drops):
        content = file_of(labels, number, 10)
        (inbox / f"one{number}.csv").write_bytes(content)
        written = time.time()
        started = daemon.wait("upload.started")[-1]
        found.append(seconds(started) - written - SETTLE)
        daemon.wait("drop.done")
    return found


def throughput(daemon: Daemon, inbox: Path, labels: list[str], files: int) -> float:
    """Seconds per file when many small ones are dropped at once, first claim to last acceptance."""
    for number in range(files):
        (inbox / f"many{number}.csv").write_bytes(file_of(labels, 10_000 + number, 10))
    lines = daemon.wait("upload.accepted", files)
    claimed = next(line for line in lines if line["event"] == "drop.claimed")
    return (seconds(lines[-1]) - seconds(claimed)) / files


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--drops", type=int, default=20)
    options.add_argument("--files", type=int, default=200)
    options.add_argument("--records", type=int, default=100_000)
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
        measure(chosen, config, {**os.environ, **secrets}, tenant["templates"][TEMPLATE])


def measure(
    chosen: argparse.Namespace, config: Path, env: dict[str, str], labels: list[str]
) -> None:
    """Run the daemon through everything and print the table."""
    inbox = config.parent / "root/orders/inbox"
    starts = []
    for _ in range(5):
        daemon = Daemon(config, env)
        starts.append(daemon.start_seconds)
        daemon.stop()
    daemon = Daemon(config, env)
    try:
        time.sleep(2)
        idle, used = daemon.memory("VmRSS"), daemon.cpu_seconds()
        time.sleep(10)
        busy = (daemon.cpu_seconds() - used) / 10
        waits = latency(daemon, inbox, labels, chosen.drops)
        each = throughput(daemon, inbox, labels, chosen.files)
        (inbox / "large.csv").write_bytes(file_of(labels, 99_999, chosen.records))
        daemon.wait("upload.accepted", -(-chosen.records // 50_000))
        peak = daemon.memory("VmHWM")
        after = daemon.memory("VmRSS")
    finally:
        daemon.stop()
    rows = {
        "start until ready, median of 5": f"{statistics.median(starts):.2f} s",
        f"drop to upload beyond the settle time, median of {chosen.drops}": (
            f"{statistics.median(waits) * 1000:.0f} ms"
        ),
        f"per small file, {chosen.files} dropped at once": f"{each * 1000:.0f} ms",
        "memory idle (resident)": f"{idle:.0f} MB",
        f"memory at its peak, with a file of {chosen.records:,} records": f"{peak:.0f} MB",
        "memory afterwards": f"{after:.0f} MB",
        "processor when idle": f"{busy * 100:.1f} % of one core",
    }
    for what, figure in rows.items():
        print(f"{what:<65} {figure}")


if __name__ == "__main__":
    main()
