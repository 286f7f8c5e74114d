"""`python -m benchmarks.poll [ROW …]`: measure what polling costs, row by row."""

import argparse

from benchmarks.figures import tell
from benchmarks.poll.peer import build_programs
from benchmarks.poll.rows import ROWS
from benchmarks.poll.settings import QUICK_ROUNDS, ROUNDS, Settings


def main() -> None:
    """Run the rows that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.poll", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; without any, all")
    parser.add_argument("--rounds", type=int, help="rounds of everything that is compared (5)")
    parser.add_argument("--quick", action="store_true", help="two short rounds: for a look, not for a figure")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the devices (1)")
    parser.add_argument("--simulator", action="store_true", help="`site` polls our own simulator")
    given = parser.parse_args()
    unknown = [row for row in given.rows if row not in ROWS]
    if unknown:
        parser.error(f"no row {unknown[0]!r}; there are {', '.join(ROWS)}")
    rounds = given.rounds or (QUICK_ROUNDS if given.quick else ROUNDS)
    settings = Settings(rounds=rounds, quick=given.quick, scale=given.scale, simulator=given.simulator)
    build_programs()
    for row in given.rows or ROWS:
        for finding in ROWS[row](settings):
            tell(finding)


if __name__ == "__main__":
    main()
