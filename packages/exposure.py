"""How exposed the service is, as `systemd-analyze security` counts; `make check` fails when it rises.

The figures are those of Debian 12's systemd (252). Another version may count otherwise; what a later one
asks for in addition belongs into the unit, not into the figures here.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SYSTEMD = Path(__file__).parents[1] / "systemd"
UNIT = SYSTEMD / "revsyncd@.service"
# Each variant: drop-ins on top of the unit, and the most that it may have.
VARIANTS: dict[str, tuple[tuple[str, ...], float]] = {
    "as shipped": ((), 1.2),
    "with credentials.conf": (("credentials.conf",), 1.2),
    "with egress-proxy.conf": (("egress-proxy.conf",), 0.9),
}


def unit_with(*drop_ins: str) -> str:
    """The unit's text with drop-ins after it; systemd reads repeated sections as one."""
    return "\n".join([UNIT.read_text(), *((SYSTEMD / name).read_text() for name in drop_ins)])


def exposure(unit: str) -> float:
    """What `systemd-analyze security` counts for a unit's text: 0 (safe) to 10. Raises ValueError."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "revsyncd@.service")
        path.write_text(unit)
        command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  (fixed words)
    found = re.search(r"Overall exposure level for .*: (\d+\.\d)", done.stdout)
    if found is None:
        raise ValueError(f"systemd-analyze tells no exposure: {done.stderr or done.stdout}")
    return float(found[1])


def main() -> int:
    """Print a line for each variant; returns 1 when one has risen."""
    if shutil.which("systemd-analyze") is None:
        print("exposure: not measured, systemd-analyze is not here (Debian: systemd)")
        return 1 if os.environ.get("REVSYNCD_TEST_NO_SKIPS") else 0
    risen = 0
    for name, (drop_ins, most) in VARIANTS.items():
        counted = exposure(unit_with(*drop_ins))
        risen += counted > most
        print(f"exposure: {counted} {name} (at most {most}){' ROSE' if counted > most else ''}")
    return 1 if risen else 0


if __name__ == "__main__":
    sys.exit(main())
