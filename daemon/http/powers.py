"""Who draws what, for `/metrics`: by circuit and by class; by device for whoever asks for it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class Powers:
    """What the loads are taken to draw now, in watts; nothing before the site was seen."""

    circuits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """By circuit: of the loads in it and below, and its limit."""
    classes: Mapping[str, float] = field(default_factory=dict)
    """By what the loads are for: `hash`, `gpu`, `other`."""
    devices: Mapping[str, float] = field(default_factory=dict)
    """By load."""


def powers_text(powers: Powers, *, devices: bool) -> bytes:
    """In Prometheus' words; a site of 30,000 devices has so many series more if it is asked for them."""
    registry = CollectorRegistry()
    registry.register(_Shown(powers, devices=devices))
    return generate_latest(registry)


class _Shown(Collector):
    def __init__(self, powers: Powers, *, devices: bool) -> None:
        self._powers = powers
        self._devices = devices

    def collect(self) -> Iterable[Metric]:
        circuits = self._powers.circuits
        yield _by(
            "quotawatt_circuit_power_watts",
            "What the loads of a circuit and below it draw.",
            "circuit",
            {circuit: watts for circuit, (watts, _) in circuits.items()},
        )
        yield _by(
            "quotawatt_circuit_limit_watts",
            "Configured limit of a circuit.",
            "circuit",
            {circuit: max_w for circuit, (_, max_w) in circuits.items()},
        )
        yield _by("quotawatt_load_power_watts", "What loads draw.", "class", self._powers.classes)
        if self._devices:
            yield _by("quotawatt_device_power_watts", "What a load draws.", "device", self._powers.devices)


def _by(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=(label,))
    for each, value in values.items():
        family.add_metric((each,), value)
    return family
