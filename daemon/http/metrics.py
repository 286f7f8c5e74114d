"""What `/metrics` shows: Prometheus, base units, names that other people's dashboards rely on."""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from daemon.commands.words import Lane

_STATES = ("init", "controlled", "limited", "failsafe")
_DEVICE_STATUSES = ("ok", "suspect", "down", "curtailed")
_ABSENT = float("nan")
"""Prometheus' own word for "no value": never 0."""


class _Totals(Collector):
    """Counters that are kept elsewhere: shown as they were last told."""

    def __init__(self, name: str, text: str, labels: tuple[str, ...]) -> None:
        self._name = name
        self._text = text
        self._labels = labels
        self.values: dict[tuple[str, ...], float] = {}

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for labels, value in sorted(self.values.items()):
            family.add_metric(labels, value)
        yield family


class Metrics:
    """The daemon's metrics in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self._power = Gauge("quotawatt_site_power_watts", "Metered site power.", registry=registry)
        self._limit = Gauge(
            "quotawatt_limit_watts", "Limit in force, under who set it.", ["source"], registry=registry
        )
        self._state = Gauge(
            "quotawatt_state",
            "1 for the state that the site is in.",
            ["state"],
            registry=registry,
        )
        self._devices = Gauge("quotawatt_devices", "Devices by status.", ["status"], registry=registry)
        self._poll_lag = Histogram(
            "quotawatt_poll_lag_seconds",
            "By how much the polls between two cycles came after their time, at worst.",
            buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
            registry=registry,
        )
        self._cycle = Histogram(
            "quotawatt_cycle_seconds",
            "Time that a control cycle took.",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 1),
            registry=registry,
        )
        self._ledger = Gauge("quotawatt_ledger_seq", "Newest record of the ledger.", registry=registry)
        self._acked = Gauge("quotawatt_ledger_acked_seq", "Newest receipted record.", registry=registry)
        self._over = _Totals("quotawatt_over_limit_seconds", "Seconds above max(limit, floor).", ())
        self._polls = _Totals("quotawatt_polls", "Polls by result.", ("result",))
        self._refused = _Totals("quotawatt_messages_refused", "Refused messages.", ("topic", "reason"))
        self._dropped = _Totals(
            "quotawatt_messages_dropped", "Messages that came faster than they could be taken.", ("topic",)
        )
        self._lane_dropped = _Totals(
            "quotawatt_device_messages_dropped",
            "Messages of and to MQTT devices that were not passed on.",
            ("reason",),
        )
        self._alarms = Gauge("quotawatt_alarms", "Alarms that stand, by type.", ["type"], registry=registry)
        for totals in (self._over, self._polls, self._refused, self._dropped, self._lane_dropped):
            registry.register(totals)
        self._over.values[()] = 0.0
        self._power.set(_ABSENT)

    def power(self, watts: float | None) -> None:
        """Metered site power; `None` = not known."""
        self._power.set(_ABSENT if watts is None else watts)

    def limit(self, watts: float, source: str) -> None:
        """The limit in force: the sample of its source; the other sources have none."""
        self._limit.clear()
        self._limit.labels(source).set(watts)

    def state(self, name: str) -> None:
        """The state of authority."""
        for other in _STATES:
            self._state.labels(other).set(1 if other == name else 0)

    def devices(self, counts: Mapping[str, int]) -> None:
        """Devices by status: `ok`, `suspect`, `down`, `curtailed`."""
        for status in _DEVICE_STATUSES:
            self._devices.labels(status).set(counts.get(status, 0))

    def cycle_took(self, seconds: float) -> None:
        """One control cycle."""
        self._cycle.observe(seconds)

    def poll_lagged(self, seconds: float) -> None:
        """The polls since the last call were so late at worst."""
        self._poll_lag.observe(seconds)

    def over_limit(self, total_s: float) -> None:
        """Seconds above max(limit, floor) since the start."""
        self._over.values[()] = total_s

    def polls(self, totals: Mapping[str, int]) -> None:
        """Polls by result since the start, as `Fleet.counters` gives them."""
        self._polls.values = {(result,): float(count) for result, count in totals.items()}

    def messages_refused(self, totals: Mapping[tuple[str, str], int]) -> None:
        """Refused messages by (topic, reason) since the start."""
        self._refused.values = {key: float(count) for key, count in totals.items()}

    def messages_dropped(self, totals: Mapping[Lane, int]) -> None:
        """Messages by topic, since the start, for which there was no room or no time."""
        self._dropped.values = {(lane.value,): float(count) for lane, count in totals.items()}

    def device_messages_dropped(self, totals: Mapping[str, int]) -> None:
        """Messages of and to MQTT devices by reason, since the start."""
        self._lane_dropped.values = {(reason,): float(count) for reason, count in totals.items()}

    def alarms(self, standing: Iterable[str]) -> None:
        """The types of the alarms that stand, one for each; those that have ended have no sample."""
        self._alarms.clear()
        for kind in standing:
            self._alarms.labels(kind).inc()

    def ledger(self, seq: int, acked_seq: int) -> None:
        """Newest record and newest receipted record of the epoch."""
        self._ledger.set(seq)
        self._acked.set(acked_seq)
