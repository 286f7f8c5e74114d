"""What of a cycle the metrics show, whoever runs it."""

from daemon.cycle.controller import CycleResult
from daemon.cycle.loop import CycleLoop
from daemon.cycle.report import device_counts
from daemon.http.metrics import Metrics
from drivers.ports import Fleet


def measure(metrics: Metrics, loop: CycleLoop, fleet: Fleet, result: CycleResult) -> None:
    """Show a cycle that has just ended."""
    metrics.power(result.power.watts)
    metrics.limit(result.verdict.limit_w, result.verdict.source.value)
    metrics.state(result.verdict.authority.state.value)
    metrics.devices(device_counts(loop.controller, result))
    metrics.polls(fleet.counters())
    metrics.poll_lagged(fleet.poll_lag_s())
    metrics.alarms(alarm["type"] for alarm in loop.alarms.standing())
    metrics.over_limit(loop.over_limit_s)
    metrics.cycle_took(max(loop.moment().monotonic_s - result.moment.monotonic_s, 0.0))
