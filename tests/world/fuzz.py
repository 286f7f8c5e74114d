"""`python -m tests.world.fuzz`: what `make fuzz` runs. The seed it prints replays it."""

import argparse
import logging
import sys
import time
from random import Random

from tests.world.fleet_fuzz import fuzz_fleet
from tests.world.line_fuzz import FuzzError, fuzz
from tests.world.order_fuzz import OrderFuzzError, fuzz_orders


def main() -> int:
    """Fuzz the line, then a fleet, then the verifier of orders."""
    parser = argparse.ArgumentParser(description="Feed the drivers and the verifier what nobody should send.")
    parser.add_argument("--cases", type=int, default=1_000_000, help="answers to one line")
    parser.add_argument("--seconds", type=float, default=3600, help="virtual time of a fleet")
    parser.add_argument("--orders", type=int, default=1_000_000, help="bent orders")
    parser.add_argument("--seed", type=int, default=Random().getrandbits(32))
    options = parser.parse_args()
    logging.getLogger("drivers").setLevel(logging.ERROR)  # they say of every answer what is wrong with it
    say = sys.stdout.write
    say(f"seed {options.seed}\n")
    sys.stdout.flush()
    try:
        tally = fuzz(options.seed, options.cases)
    except FuzzError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    counts = ", ".join(f"{count:,} {what}" for what, count in tally.most_common())
    say(f"{options.cases:,} answers to a line: {counts}; {time.process_time():.0f} s of CPU\n")
    sweeps = ", ".join(
        f"{count:,} {what}" for what, count in fuzz_fleet(options.seed, options.seconds).items()
    )
    say(f"{options.seconds:,.0f} s of a fleet, sweeps: {sweeps}; {time.process_time():.0f} s of CPU\n")
    try:
        orders = fuzz_orders(options.seed, options.orders)
    except OrderFuzzError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    kinds = ", ".join(f"{count:,} {what}" for what, count in orders.most_common())
    say(f"{options.orders:,} orders: {kinds}; {time.process_time():.0f} s of CPU\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
