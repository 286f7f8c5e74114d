"""One row of the table in docs/benchmarks.md per file: `measure(settings)` gives what it found."""

from collections.abc import Callable, Iterable, Mapping

from benchmarks.figures import Finding
from benchmarks.poll.rows import dead_unit, growth, hanging, orders, picture, saturated, site, steady
from benchmarks.poll.settings import Settings

ROWS: Mapping[str, Callable[[Settings], Iterable[Finding]]] = {
    "saturated": saturated.measure,
    "growth": growth.measure,
    "steady": steady.measure,
    "hanging": hanging.measure,
    "dead-unit": dead_unit.measure,
    "orders": orders.measure,
    "picture": picture.measure,
    "site": site.measure,
}
"""In the order in which all of them are run."""
