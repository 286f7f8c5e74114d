"""A pure site with PDUs, perhaps a check meter, and readings that a test falsifies."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from daemon.authority.machine import Policy, start
from daemon.cycle.alarms import Alarm
from daemon.cycle.controller import Controller, ControlPolicy
from daemon.cycle.findings import findings
from daemon.cycle.layout import SiteLayout
from daemon.table import SiteTable
from drivers.profiles import load_profile
from drivers.quantity import Quantity
from sim_devices.layout import lay_out
from tests.world.pure_site import PureSite, configured

Values = Mapping[Quantity, float | None]
Falsifier = Callable[[dict[Quantity, float | None]], Values]
"""What a device shows instead."""


class FalsifiedTable(SiteTable):
    """Takes readings as they come, but for those of devices that are tampered with."""

    def __init__(self, names: list[str]) -> None:
        super().__init__([1.0] * len(names))
        self.falsifiers: dict[str, Falsifier] = {}
        self._names = names

    def sampled(self, row: int, values: Values, started: float) -> None:
        falsifier = self.falsifiers.get(self._names[row])
        super().sampled(row, values if falsifier is None else falsifier(dict(values)), started)


@dataclass
class MeasuredSite(PureSite):
    """`falsify` a device's readings by its id; take the falsifier away to mend it."""

    fed: bool = True
    """Whether the configuration says which PDU feeds which miner."""
    alarms: dict[str, Alarm] = field(default_factory=dict)
    """Every alarm since the last `forget`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        config = configured(self.plant, self.contract_w, self.failsafe_w, self.settle_s)
        outlets = {spec.id: spec.fed_by.split("/") for spec in self.plant.specs if spec.fed_by is not None}
        if self.fed:
            fed = {name: (pdu, int(outlet)) for name, (pdu, outlet) in outlets.items()}
            devices = tuple(replace(device, fed_by=fed.get(device.id)) for device in config.devices)
            config = replace(config, devices=devices)
        self.layout = SiteLayout.of(config)
        self.table: FalsifiedTable = FalsifiedTable([device.id for device in config.devices])
        policy = Policy(self.contract_w, self.failsafe_w, 120.0, 300.0, 0.0)
        verdict = start(policy, self.now, boot_id="boot", boottime_s=0.0, last_limit_w=None)
        control = ControlPolicy(
            policy, self.ramp_up_pct_per_min / 100 * self.contract_w / 60, self.settle_s, 0.0
        )
        self.controller = Controller(self.layout, control, self.table, self.fleet, verdict, self.now)

    @classmethod
    def fitted(
        cls, *, miners: int = 40, racks: int = 0, check_meter: bool = False, fed: bool = True, seed: int = 1
    ) -> "MeasuredSite":
        """At full power for long enough to know itself; nobody disobeys."""
        plant = lay_out(
            miners=miners,
            racks=racks,
            pdus=None,
            seed=seed,
            profile=load_profile,
            check_meter=check_meter,
            disobedient_share=0.0,
        )
        site = cls(plant, int(plant.nameplate_w * 1.15), fed=fed)
        site.quota((0, None))
        site.run(60)
        return site

    @property
    def true_w(self) -> float:
        return self.plant.model.true_power_w

    def falsify(self, device: str, falsifier: Falsifier) -> None:
        self.table.falsifiers[device] = falsifier

    def mend(self, device: str) -> None:
        self.table.falsifiers.pop(device, None)

    def freeze(self, device: str) -> None:
        """It shows what it shows next, for ever."""
        shown: dict[Quantity, float | None] = {}

        def frozen(values: dict[Quantity, float | None]) -> Values:
            shown.update({} if shown else values)
            return shown

        self.falsify(device, frozen)

    def watch(self, seconds: float) -> list[str]:
        """Let time pass and note the alarms; the source of the power in every second."""
        sources = []
        for _ in range(round(seconds)):
            self.run(1)
            assert self.result is not None
            self.alarms |= findings(self.controller, self.result, records_writable=True)
            sources.append(self.result.power.source.value)
        return sources

    def above(self, from_s: float) -> list[tuple[int, int]]:
        """(second since `from_s`, W above the limit) of every second whose mean power was above it."""
        seconds = self.means(from_s, self.model_s)
        return [(round(s - from_s), round(watts - limit)) for s, watts, limit in seconds if watts > limit]

    def share_used(self, from_s: float) -> float:
        """Mean power as a share of the limit in force now."""
        seconds = self.means(from_s, self.model_s)
        return sum(watts for _, watts, _ in seconds) / len(seconds) / self.controller.verdict.limit_w
