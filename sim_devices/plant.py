"""A simulated site on the network, for tests and for the demo."""

import asyncio
import contextlib
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, NamedTuple, Self

from daemon.clock import Clock, SystemClock
from drivers.ports import TopicBus
from drivers.profile import MqttMap, Role
from drivers.profiles import load_profile
from sim_devices.configuration import PlantDevice, config_toml
from sim_devices.faults import DeviceFaults
from sim_devices.instruments import instrument_for
from sim_devices.layout import DISOBEDIENT_SHARE, Circuit, Spec, lay_out
from sim_devices.modbus.bank import RegisterBank
from sim_devices.modbus.endpoint import Endpoint
from sim_devices.mqtt.bus import BrokerBus
from sim_devices.mqtt.device import MqttDevice
from sim_devices.physics import PlantModel

__all__ = ["Moment", "Plant", "PlantDevice"]

PORT_TRIES = 20
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

    Every Modbus device has an address of its own within 127.0.0.0/8 on one common port; a GPU rack
    publishes on the broker. The physics follow the event loop's time in steps of at most `step_s`.

    Args:
        miners, racks, pdus, seed, disobedient_share, check_meter: see `lay_out`.
        host: any address in 127.0.0.0/8; its first two numbers begin every device's address.
        port: of every Modbus device; 0 = any that is free.
        mqtt_url: the broker of the racks; or
        bus: their connection to one.
        topic_prefix: racks publish under `PREFIX/ID`.
        step_s: the physics' step; 1 s is still faithful.
        clock: gives the wall time of `history`.
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
        disobedient_share: float = DISOBEDIENT_SHARE,
        check_meter: bool = False,
        step_s: float = 0.1,
        clock: Clock | None = None,
    ) -> None:
        if racks and mqtt_url is None and bus is None:
            raise ValueError("GPU racks speak MQTT: give mqtt_url or bus")
        layout = lay_out(
            miners=miners,
            racks=racks,
            pdus=pdus,
            seed=seed,
            profile=load_profile,
            disobedient_share=disobedient_share,
            check_meter=check_meter,
        )
        self.truth: PlantModel = layout.model
        """What is really so; the shells show it with noise, late, or not at all."""
        self.circuits: tuple[Circuit, ...] = layout.circuits
        self.nameplate_w = layout.nameplate_w
        """Sum over the loads."""
        self.faults: dict[str, DeviceFaults] = {
            spec.id: DeviceFaults(spec.id, layout.model) for spec in layout.specs
        }
        """By device id."""
        self.devices: tuple[PlantDevice, ...] = ()
        """Known once the plant listens."""
        self.history: list[Moment] = []
        """One entry for each step."""
        self._specs = layout.specs
        self._network = ".".join(host.split(".")[:2])
        self._port = port
        self._bus = (
            bus if bus is not None or mqtt_url is None else BrokerBus(mqtt_url, identifier=f"plant-{seed}")
        )
        self._topic_prefix = topic_prefix
        self._step_s = step_s
        self._clock = clock if clock is not None else SystemClock()
        self._endpoints: dict[str, Endpoint] = {}
        self._hosts: dict[int, int] = {}
        self._mqtt_devices: list[MqttDevice] = []
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        for spec in self._specs:
            self._shell(spec)
        port = await self._listen()
        self.devices = tuple(self._device(spec, port) for spec in self._specs)
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._close)
            tasks = await stack.enter_async_context(_Tasks())
            tasks.start(self._live(), name="plant physics")
            if isinstance(self._bus, BrokerBus):
                tasks.start(self._bus.run(), name="plant mqtt")
            for device, spec in zip(self._mqtt_devices, self._mqtt_specs(), strict=True):
                tasks.start(device.run(), name=f"plant {spec.id}")
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    def config_toml(self) -> str:
        """The plant's circuits and devices as tables of a configuration file."""
        return config_toml(self.circuits, self.devices)

    def _mqtt_specs(self) -> list[Spec]:
        return [spec for spec in self._specs if isinstance(load_profile(spec.profile).map, MqttMap)]

    def _shell(self, spec: Spec) -> None:
        profile = load_profile(spec.profile)
        instrument = instrument_for(spec, self.truth)
        faults = self.faults[spec.id]
        if isinstance(profile.map, MqttMap):
            assert self._bus is not None
            self._mqtt_devices.append(MqttDevice(profile, self._prefix(spec), instrument, faults, self._bus))
            return
        bank = RegisterBank(profile, instrument, faults)
        self._endpoints[spec.id] = Endpoint(self._host(spec), {1: bank})

    def _prefix(self, spec: Spec) -> str:
        return f"{self._topic_prefix}/{spec.id}"

    def _host(self, spec: Spec) -> str:
        """The next address: loads have theirs apart, so that a PDU's miners are neighbours."""
        start = FIRST_LOAD if spec.role is Role.LOAD else FIRST_OTHER
        index = self._hosts.get(start, 0)
        self._hosts[start] = index + 1
        return f"{self._network}.{start + index // HOSTS}.{1 + index % HOSTS}"

    def _device(self, spec: Spec, port: int) -> PlantDevice:
        endpoint = self._endpoints.get(spec.id)
        address = f"mqtt:{self._prefix(spec)}" if endpoint is None else f"modbus://{endpoint.host}:{port}/1"
        return PlantDevice(spec.id, spec.profile, address, spec.role, spec.circuit, spec.fed_by)

    async def _listen(self) -> int:
        """Open every endpoint on one port that is free for all of them."""
        for left in reversed(range(PORT_TRIES)):
            port = self._port
            try:
                for endpoint in self._endpoints.values():
                    port = await endpoint.open(port)
            except OSError:
                self._close()
                if self._port or not left:
                    raise
            else:
                return port
        raise AssertionError("the last try returns or raises")

    def _close(self) -> None:
        for endpoint in self._endpoints.values():
            endpoint.close()

    async def _live(self) -> None:
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            await asyncio.sleep(self._step_s - (loop.time() - last) % self._step_s)
            while loop.time() - last >= self._step_s - 1e-6:
                last += self._step_s
                self.truth.step(self._step_s)
                self._remember(last)
            await self._apply_faults()

    def _remember(self, loop_s: float) -> None:
        now_s = asyncio.get_running_loop().time()
        truth = self.truth
        wall_s = self._clock.wall() - (now_s - loop_s)
        self.history.append(
            Moment(wall_s, loop_s, truth.true_power_w, truth.meter.register_wh, truth.floor_w())
        )

    async def _apply_faults(self) -> None:
        for endpoint in self._endpoints.values():
            # Somebody may have taken the port meanwhile; the next step tries again.
            with contextlib.suppress(OSError):
                await endpoint.apply_faults()


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
