"""A simulated site on the network, for tests and for the demo."""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

from daemon.clock import Clock, SystemClock
from drivers.ports import TopicBus
from drivers.profile import MqttMap, Role
from drivers.profiles import load_profile
from sim_devices.configuration import PlantDevice, config_toml
from sim_devices.faults import DeviceFaults
from sim_devices.instruments import instrument_for
from sim_devices.layout import (
    DISOBEDIENT_SHARE,
    HEADROOM,
    LIE,
    UNITS_PER_GATEWAY,
    USUAL_MIX,
    Circuit,
    Spec,
    lay_out,
)
from sim_devices.modbus.connection import Connection
from sim_devices.modbus.endpoint import Endpoint
from sim_devices.modbus.image import Image
from sim_devices.modbus.network import Network
from sim_devices.modbus.unit import Unit
from sim_devices.mqtt.bus import BrokerBus
from sim_devices.mqtt.device import MqttDevice
from sim_devices.physics import PlantModel
from sim_devices.scenario import Play, ScenarioDocument, Site

__all__ = ["Moment", "Plant", "PlantDevice"]

FIRST_OTHER = 10
FIRST_LOAD = 20
"""Third number of the first address of a load; `FIRST_OTHER` of everything else."""
HOSTS = 240
"""Addresses used for each third number: twelve PDUs' outlets."""


class Moment(NamedTuple):
    """The truth after a step of the plant."""

    wall_s: float
    loop_s: float
    true_power_w: float
    """Mean over the step that ended here."""
    register_wh: int
    """The revenue meter's register."""
    floor_w: float
    """What nothing could shed then; outlets of PDUs not counted as a way to."""


class Plant:
    """A site that listens and publishes while the context lasts.

    Every Modbus device, or the gateway that it is behind, has an address of its own within
    127.0.0.0/8 on one common port; a GPU rack publishes on the broker. The physics follow the event
    loop's time in steps of at most `step_s`.

    Args:
        miners, racks, pdus, seed, mix, gateways, units_per_gateway, containers, container_headroom,
            disobedient_share, offline_share, lying_share, lie, check_meter: see `lay_out`.
        host: any address in 127.0.0.0/8; its first two numbers begin every device's address.
        port: of every Modbus device; 0 = any that is free.
        mqtt_url: the broker of the racks; or
        bus: their connection to one.
        topic_prefix: racks publish under `PREFIX/ID`.
        step_s: the physics' step; 1 s is still faithful.
        clock: gives the wall time of `history`.
        remember: keep the `history`.
        share_socket: listen on one socket for all addresses; by default if they are many.
        scenario: what goes wrong, and when; its `[plant]` is the caller's business.

    Raises:
        ValueError: such a site cannot be.
        ScenarioError: the scenario does not fit the site.
    """

    def __init__(
        self,
        miners: int = 240,
        racks: int = 0,
        pdus: int | None = None,
        seed: int = 1,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        mqtt_url: str | None = None,
        bus: TopicBus | None = None,
        topic_prefix: str = "plant",
        mix: Mapping[str, float] = USUAL_MIX,
        gateways: int = 0,
        units_per_gateway: int = UNITS_PER_GATEWAY,
        containers: int = 0,
        container_headroom: float = HEADROOM,
        disobedient_share: float = DISOBEDIENT_SHARE,
        offline_share: float = 0.0,
        lying_share: float = 0.0,
        lie: float = LIE,
        check_meter: bool = False,
        step_s: float = 0.1,
        clock: Clock | None = None,
        remember: bool = True,
        share_socket: bool | None = None,
        scenario: ScenarioDocument | None = None,
    ) -> None:
        if racks and mqtt_url is None and bus is None:
            raise ValueError("GPU racks speak MQTT: give mqtt_url or bus")
        layout = lay_out(
            miners=miners,
            racks=racks,
            pdus=pdus,
            seed=seed,
            profile=load_profile,
            mix=mix,
            gateways=gateways,
            units_per_gateway=units_per_gateway,
            containers=containers,
            container_headroom=container_headroom,
            disobedient_share=disobedient_share,
            offline_share=offline_share,
            lying_share=lying_share,
            lie=lie,
            check_meter=check_meter,
        )
        self.truth: PlantModel = layout.model
        """What is really so; the shells show it with noise, late, or not at all."""
        self.circuits: tuple[Circuit, ...] = layout.circuits
        self.nameplate_w = layout.nameplate_w
        """Sum over the loads."""
        self.faults: dict[str, DeviceFaults] = {
            spec.id: DeviceFaults(spec.id, layout.model, seed=seed) for spec in layout.specs
        }
        """By device id."""
        for device_id in layout.offline:
            self.faults[device_id].refuse = True
        self.gateways: Mapping[str, tuple[str, ...]] = _behind_gateways(layout.specs)
        """Ids of the devices behind each gateway."""
        self.devices: tuple[PlantDevice, ...] = ()
        """Known once the plant listens."""
        self.history: list[Moment] = []
        """One entry for each step."""
        self._play = (
            None
            if scenario is None
            else Play(scenario, Site(layout.specs, self.faults, layout.model), seed=seed)
        )
        self._specs = layout.specs
        self._network_numbers = ".".join(host.split(".")[:2])
        self._port = port
        self._bus = (
            BrokerBus(mqtt_url, identifier=f"plant-{seed}")
            if bus is None and mqtt_url is not None and racks
            else bus
        )
        self._topic_prefix = topic_prefix
        self._step_s = step_s
        self._clock = clock if clock is not None else SystemClock()
        self._remember_all = remember
        self._host_of: dict[str, str] = {}
        """By device id, or by the id of the gateway that it is behind."""
        self._hosts: dict[int, int] = {}
        self._images: list[Image] = []
        self._mqtt_devices: list[tuple[str, MqttDevice]] = []
        self._network = Network(self._shells(), share=share_socket)
        self.open_files = self._network.open_files
        """That it needs when every address has a connection."""
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        port = await self._network.open(self._port)
        await self._befall()
        self.devices = tuple(self._device(spec, port) for spec in self._specs)
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._network.close)
            tasks = await stack.enter_async_context(_Tasks())
            tasks.start(self._live(), name="plant physics")
            if isinstance(self._bus, BrokerBus):
                tasks.start(self._bus.run(), name="plant mqtt")
            for device_id, device in self._mqtt_devices:
                tasks.start(device.run(), name=f"plant {device_id}")
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    def connections(self, device: str) -> frozenset[Connection]:
        """The open connections to a Modbus device, or to the gateway that it is behind."""
        (spec,) = (spec for spec in self._specs if spec.id == device)
        return self._network.connections(self._host_of[spec.gateway or spec.id])

    def config_toml(self) -> str:
        """The plant's circuits and devices as tables of a configuration file."""
        return config_toml(self.circuits, self.devices)

    def _shells(self) -> list[Endpoint]:
        """What every device is seen through."""
        units: dict[str, dict[int, Unit]] = {}
        kinds: dict[tuple[str, Role], list[Spec]] = {}
        for spec in self._specs:
            kinds.setdefault((spec.profile, _shared_role(spec.role)), []).append(spec)
        for (name, role), specs in kinds.items():
            profile = load_profile(name)
            instrument = instrument_for(role, [spec.id for spec in specs], self.truth)
            if isinstance(profile.map, MqttMap):
                assert self._bus is not None
                for row, spec in enumerate(specs):
                    device = MqttDevice(
                        profile, self._prefix(spec), instrument, row, self.faults[spec.id], self._bus
                    )
                    self._mqtt_devices.append((spec.id, device))
                continue
            image = Image(profile, instrument)
            self._images.append(image)
            for row, spec in enumerate(specs):
                unit = Unit(image, row, self.faults[spec.id])
                units.setdefault(spec.gateway or spec.id, {})[spec.unit] = unit
        for spec in self._specs:
            place = spec.gateway or spec.id
            if place in units and place not in self._host_of:
                self._host_of[place] = self._next_host(spec)
        return [Endpoint(host, units[place]) for place, host in self._host_of.items()]

    def _prefix(self, spec: Spec) -> str:
        return f"{self._topic_prefix}/{spec.id}"

    def _next_host(self, spec: Spec) -> str:
        """The next address: loads have theirs apart, so that a PDU's miners are neighbours."""
        start = FIRST_LOAD if spec.role is Role.LOAD else FIRST_OTHER
        index = self._hosts.get(start, 0)
        self._hosts[start] = index + 1
        return f"{self._network_numbers}.{start + index // HOSTS}.{1 + index % HOSTS}"

    def _device(self, spec: Spec, port: int) -> PlantDevice:
        host = self._host_of.get(spec.gateway or spec.id)
        address = f"mqtt:{self._prefix(spec)}" if host is None else f"modbus://{host}:{port}/{spec.unit}"
        return PlantDevice(spec.id, spec.profile, address, spec.role, spec.circuit, spec.fed_by)

    async def _live(self) -> None:
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            await asyncio.sleep(self._step_s - (loop.time() - last) % self._step_s)
            while loop.time() - last >= self._step_s - 1e-6:
                last += self._step_s
                self.truth.step(self._step_s)
                self._remember(last)
                await self._befall()

    async def _befall(self) -> None:
        """Let happen what is due, and show what is so now."""
        if self._play is not None:
            self._play.advance(self.truth.now_s)
        for image in self._images:
            image.stale = True
        await self._network.apply_faults()

    def _remember(self, loop_s: float) -> None:
        if not self._remember_all:
            return
        now_s = asyncio.get_running_loop().time()
        truth = self.truth
        wall_s = self._clock.wall() - (now_s - loop_s)
        self.history.append(
            Moment(wall_s, loop_s, truth.true_power_w, truth.meter.register_wh, truth.floor_w())
        )


def _shared_role(role: Role) -> Role:
    """All meters of the site's connection are of one kind."""
    return Role.SITE_METER if role is Role.CHECK_METER else role


def _behind_gateways(specs: Iterable[Spec]) -> dict[str, tuple[str, ...]]:
    behind: dict[str, tuple[str, ...]] = {}
    for spec in specs:
        if spec.gateway is not None:
            behind[spec.gateway] = (*behind.get(spec.gateway, ()), spec.id)
    return behind


class _Tasks:
    """The plant's own tasks; they end with it."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(work, name=name))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        for outcome in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(outcome, Exception) and error is None:
                raise outcome
