"""The control core against the plant's physics: no daemon, no messages, no sockets, no waiting."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from daemon.authority.machine import (
    Event,
    HoldSet,
    LeaseAccepted,
    LeaseSeen,
    Moment,
    Policy,
    QuotaTaken,
    start,
)
from daemon.commands.orders import Hold, Lease, Quota, ScheduleEntry
from daemon.config import (
    Circuit,
    Config,
    ConfiguredDevice,
    Control,
    HttpListen,
    Mqtt,
    MqttProtocol,
    OnStop,
    Site,
    Tier,
)
from daemon.cycle.controller import Controller, ControlPolicy, CycleResult
from daemon.cycle.layout import SiteLayout
from daemon.table import SiteTable
from daemon.table.snapshot import Floats
from drivers.address import parse_address
from drivers.ports import Absence, WriteResult
from drivers.profile import OutputKind, Role
from drivers.profiles import load_profile
from drivers.quantity import Quantity
from sim_devices.layout import Layout, lay_out

STEP_S = 0.1
WALL_S = 1_790_000_000.0


class _Fleet:
    """Hands orders to the plant at the next step, as a quick network would."""

    def __init__(self, site: "PureSite") -> None:
        self._site = site
        self.queue: dict[int, float | None] = {}

    async def run(self) -> None: ...

    def order(self, row: int, watts: float | None) -> None:
        self.queue[row] = watts

    def switch(self, row: int, outlet: int, *, on: bool) -> None:
        self._site.plant.model.switch(self._site.layout.devices[row].id, outlet, on=on)

    def arm(self, row: int, watts: float) -> None: ...

    def counters(self) -> Mapping[str, int]:
        return {}

    def decode_into(self, values: Floats) -> None: ...

    def poll_lag_s(self) -> float:
        return 0.0

    def carry_out(self) -> None:
        for row, watts in self.queue.items():
            device = self._site.layout.devices[row].id
            result = WriteResult.TIMED_OUT
            if device not in self._site.silent:
                self._site.plant.model.order(device, watts)
                result = WriteResult.ACKNOWLEDGED
            self._site.table.written(row, watts, result, self._site.model_s)
        self.queue.clear()


def configured(
    plant: Layout, contract_w: int, failsafe_w: int, settle_s: float = 30.0, *, period_s: float = 1.0
) -> Config:
    """A configuration for a plant without addresses of any use; `period_s`: of the loads."""
    index = {circuit.id for circuit in plant.circuits}
    return Config(
        path=Path("pure"),
        site=Site("pure", contract_w, failsafe_w, 300, Path("pure")),
        control=Control(120, 300, 10, settle_s, OnStop.KEEP),
        site_key_path=Path("pure"),
        mqtt=Mqtt("127.0.0.1", 1883, False, None, None, None, None, None, MqttProtocol.AUTO),  # noqa: FBT003
        settlement=None,
        trust_keys=(),
        circuits=tuple(Circuit(circuit.id, circuit.max_w, None, None) for circuit in plant.circuits),
        devices=tuple(
            ConfiguredDevice(
                spec.id,
                load_profile(spec.profile),
                parse_address(f"mqtt:pure/{spec.id}"),
                Role(spec.role),
                spec.circuit if spec.circuit in index else None,
                Tier.NORMAL,
                None,
                period_s if spec.role is Role.LOAD else 1.0,
            )
            for spec in plant.specs
        ),
        http_listen=HttpListen("127.0.0.1", 8480),
    )


@dataclass
class PureSite:
    """A site whose time passes when told to."""

    plant: Layout
    contract_w: int
    failsafe_w: int = 0
    settle_s: float = 30.0
    ramp_up_pct_per_min: float = 10.0
    model_s: float = 0.0
    history: list[tuple[float, float, float]] = field(default_factory=list)
    """(seconds, true site power W, limit in force W) for every step."""
    silent: set[str] = field(default_factory=set)
    """Devices that answer nothing and take no orders."""
    load_period_s: float = 1.0
    """That the loads are said to be read at."""

    def __post_init__(self) -> None:
        config = configured(
            self.plant, self.contract_w, self.failsafe_w, self.settle_s, period_s=self.load_period_s
        )
        self.layout = SiteLayout.of(config)
        self.table = SiteTable([device.period_s for device in self.layout.devices])
        self.fleet = _Fleet(self)
        policy = Policy(self.contract_w, self.failsafe_w, 120.0, 300.0, 0.0)
        verdict = start(policy, self.now, boot_id="boot", boottime_s=0.0, last_limit_w=None)
        rate = self.ramp_up_pct_per_min / 100 * self.contract_w / 60
        self.controller = Controller(
            self.layout,
            ControlPolicy(policy, rate, self.settle_s, 0.0),
            self.table,
            self.fleet,
            verdict,
            self.now,
        )
        self.rev = 0
        self.leasing = True
        self.result: CycleResult | None = None

    @classmethod
    def build(cls, *, miners: int = 60, racks: int = 2, seed: int = 1, **more: float) -> "PureSite":
        """A plant and a contract of its nameplate plus 15 %."""
        plant = lay_out(miners=miners, racks=racks, pdus=None, seed=seed, profile=load_profile)
        return cls(plant, int(plant.nameplate_w * 1.15), **more)  # type: ignore[arg-type] # floats by name

    @property
    def now(self) -> Moment:
        return Moment(WALL_S + self.model_s, self.model_s)

    def tell(self, event: Event) -> None:
        self.controller.apply(event, self.now)

    def quota(self, *steps: tuple[float, int | None]) -> None:
        """A new quota: (seconds from now, limit) each until the next, the last for a day."""
        self.rev += 1
        wall = int(self.now.wall_s)
        starts = [wall + int(after) for after, _ in steps] + [wall + 86_400]
        entries = tuple(ScheduleEntry(starts[i], starts[i + 1], limit) for i, (_, limit) in enumerate(steps))
        self.tell(QuotaTaken(Quota(self.rev, entries, wall + 86_400, "k", "", f"hash-{self.rev}")))
        self.lease()
        self.cycle()

    def hold(self, limit_w: int | None) -> None:
        """An operator's hold; `None` releases it."""
        self.tell(HoldSet(None if limit_w is None else Hold(limit_w, "crane", None)))
        self.cycle()

    def cycle(self) -> None:
        """Once a second, and at once when an order arrives."""
        self.result = self.controller.cycle(self.now, records_writable=True)

    def lease(self) -> None:
        wall = int(self.now.wall_s)
        self.tell(LeaseSeen(wall, self.now.wall_s))
        self.tell(LeaseAccepted(Lease(self.rev, wall, wall + 300, "boot", self.model_s, self.now.wall_s)))

    def run(self, seconds: float) -> None:
        """Let time pass: physics every 0.1 s, a poll and a cycle every second."""
        for _ in range(round(seconds / STEP_S)):
            self.plant.model.step(STEP_S)
            self.model_s = round(self.model_s + STEP_S, 3)
            self.history.append(
                (self.model_s, self.plant.model.true_power_w, self.controller.verdict.limit_w)
            )
            self.fleet.carry_out()
            if round(self.model_s / STEP_S) % 10 == 0:
                self._poll()
                if self.leasing and round(self.model_s) % 10 == 0:
                    self.lease()
                self.cycle()

    def _poll(self) -> None:
        model = self.plant.model
        for row, device in enumerate(self.layout.devices):
            if device.id in self.silent:
                self.table.failed(row, Absence.TIMED_OUT)
                continue
            load = model.loads.get(device.id)
            if load is not None:
                # A device that holds no limit shows none.
                values: dict[Quantity, float | None] = {
                    Quantity.POWER: load.reported_w,
                    Quantity.SETPOINT: load.ordered_w,
                    _OUTPUT[device.profile.output or OutputKind.HASH]: model.output(device.id),
                }
            elif device.role is Role.COOLING:
                values = {Quantity.POWER: model.cooling.draw_w}
            elif device.id in model.meters:
                meter = model.meters[device.id]
                values = {
                    Quantity.POWER: meter.power_w,
                    Quantity.ENERGY_IMPORT: float(meter.register_wh),
                }
            else:
                values = {Quantity.POWER: model.pdus[device.id].power_w}
            self.table.sampled(row, values, self.model_s - 0.5)

    def means(self, from_s: float, to_s: float) -> list[tuple[int, float, float]]:
        """(second, mean true power, smallest limit) of every whole second in the span."""
        seconds: dict[int, list[tuple[float, float]]] = {}
        for at_s, power_w, limit_w in self.history:
            if from_s <= at_s < to_s:
                seconds.setdefault(int(at_s), []).append((power_w, limit_w))
        return [
            (second, sum(p for p, _ in parts) / len(parts), min(limit for _, limit in parts))
            for second, parts in sorted(seconds.items())
        ]


_OUTPUT = {OutputKind.HASH: Quantity.HASHRATE, OutputKind.GPU: Quantity.GPU_ACTIVE}
