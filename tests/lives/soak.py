"""`make soak`: random lives for as many minutes as wanted, from a seed that can be given again.

Prints what was lived through and, if the promise was ever broken, the shortest life found that breaks
it: a program of steps that can be put into a test as it stands, and the command that finds it again.
"""

import argparse
import os
import sys
import time
import traceback

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from lives.machine import Lives, figures, in_memory_only

from revsyncd.pipelines.register import Register

LIVES = 20  # a round
STEPS = 30  # a life


def main() -> int:
    """Live; 0 when the promise held in every life."""
    chosen = _chosen()
    began, number = time.monotonic(), chosen.seed
    while True:
        broken = _round(number, chosen)
        _tell(number, time.monotonic() - began, broken)
        if broken:
            return 1
        number += 1
        if time.monotonic() - began >= chosen.minutes * 60:
            return 0


def _chosen() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, prog="make soak")
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("MINUTES", "10")))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or time.time()))
    parser.add_argument("--lives", type=int, default=LIVES, help="of each seed")
    parser.add_argument("--steps", type=int, default=STEPS, help="of each life")
    parser.add_argument(
        "--control",
        action="store_true",
        help="without the record before the last chunk: a double posting must be found",
    )
    parser.add_argument("--as-found", action="store_true", help="do not look for a shorter life")
    return parser.parse_args()


def _round(number: int, chosen: argparse.Namespace) -> int:
    phases = (Phase.generate,) if chosen.as_found else (Phase.generate, Phase.shrink)
    rules = settings(
        max_examples=chosen.lives,
        stateful_step_count=chosen.steps,
        phases=phases,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    about = "" if not chosen.control else " 2 times"
    if chosen.control:
        setattr(Register, "release", in_memory_only)  # noqa: B010  (a method, replaced)
    try:
        run_state_machine_as_test(
            seed(number)(type("Lives", (Lives,), {"about": about})), settings=rules
        )
    except Exception as error:  # whatever ends a life is told, with the life
        traceback.print_exception(error, limit=-3)
        how = f"MINUTES=0 SEED={number} SOAK='{' '.join(_how(chosen))}'"
        print(f"Found again by: make soak {how}", file=sys.stderr)
        return 1
    return 0


def _how(chosen: argparse.Namespace) -> list[str]:
    size = [f"--lives {chosen.lives}", f"--steps {chosen.steps}"]
    return [*size, *(["--control"] if chosen.control else [])]


def _tell(number: int, seconds: float, violations: int) -> None:
    told = {name: round(value, 1) for name, value in figures().items()}
    print(f"seed {number}, {seconds:.0f} s, {told}, violations {violations}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
