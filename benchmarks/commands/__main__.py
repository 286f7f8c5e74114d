"""`python -m benchmarks.commands`: the real daemon, commanded and flooded over a real mosquitto."""

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.commands.answering import answering
from benchmarks.commands.flood import FLOODS, flooding
from benchmarks.commands.site import running_site
from benchmarks.figures import tell

ROWS = ("answering", *FLOODS)


async def measure(row: str, seconds: float | None) -> None:
    """One row, at a site of its own."""
    with tempfile.TemporaryDirectory() as folder:
        async with running_site(Path(folder)) as site:
            if row == "answering":
                tell(await answering(site, seconds or 60.0))
            else:
                tell(await flooding(site, row, seconds or 30.0))


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--seconds", type=float, help="of each row; by default 60 and 30")
    options = parser.parse_args()
    unknown = set(options.rows) - set(ROWS)
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    cores = os.sched_getaffinity(0)
    for row in options.rows or ROWS:
        os.sched_setaffinity(0, cores)
        asyncio.run(measure(row, options.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
