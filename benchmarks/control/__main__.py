"""`python -m benchmarks.control [row …]`: the control core measured. Also writes build/bench/."""

import argparse
from collections.abc import Callable

from benchmarks.control import cycle, decision, optimum, switching
from benchmarks.figures import Finding, tell

ROWS: dict[str, Callable[[int], Finding]] = {
    "decision": decision.measure,
    "cycle": cycle.measure,
    "optimum": optimum.measure,
    "switching": switching.measure,
}


def main() -> None:
    """Measure the rows that were asked for, or all."""
    parser = argparse.ArgumentParser(description="the control core measured")
    parser.add_argument("rows", nargs="*", choices=[[], *ROWS], metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    for row in asked.rows or ROWS:
        tell(ROWS[row](asked.seed))


if __name__ == "__main__":
    main()
