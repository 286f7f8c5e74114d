"""A fleet in virtual time of which some devices answer as broken ones do, and the rest as they should."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from drivers.device import Device
from drivers.modbus.codec import decode_words
from drivers.ports import Absence
from drivers.profile import ModbusMap, RegisterPoint
from drivers.profiles import load_profile
from drivers.quantity import Quantity
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.modbus_peer import Asked, ScriptedPeer
from tests.world.mutated_answers import Ask, Case, StrictReader, mutated, pieces
from tests.world.recording_sink import RecordingSink, Sample, modbus_device, running

PROFILE = "sim-meter"
_SPOILT = 0.4
_PATIENCE_S = 3.0
"""A device that answers rightly is sampled again within this, whatever the others do."""


def _points() -> Mapping[Quantity, RegisterPoint]:
    register_map = load_profile(PROFILE).map
    assert isinstance(register_map, ModbusMap)
    return {Quantity(point.name): point for point in register_map.points if point.quantity is not None}


@dataclass
class BrokenPeer:
    """A server that spoils some of its answers, and knows what may be taken from them."""

    rng: Random
    peer: ScriptedPeer = field(default_factory=ScriptedPeer)
    readers: dict[int, StrictReader] = field(default_factory=dict)
    """By connection."""
    right: dict[int, list[dict[Quantity, float | None]]] = field(default_factory=dict)
    """By unit: the values that may be taken, in the order of their answers."""
    stale: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.peer.answer = self.answer

    def answer(self, asked: Asked) -> None:
        """Send something, in pieces."""
        ask = Ask(asked.transaction, asked.unit, asked.function, asked.address, asked.length, b"")
        whole = ask.answer(self.rng.randbytes(2 * ask.registers))
        spoilt = self.rng.random() < _SPOILT
        data = mutated(Case(self.rng, ask, whole, self.stale)) if spoilt else whole
        self.stale = [*self.stale, whole][-4:]
        reader = self.readers.setdefault(self.peer.connections, StrictReader())
        reader.asked = {ask.transaction: ask}  # one at a time; what came before is given up
        for outcome in reader.take(data):
            if outcome.what == "answered":
                self.right.setdefault(ask.unit, []).append(_decoded(ask, outcome.data))
        for piece in pieces(self.rng, data):
            self.peer.open[-1].send(piece)


def _decoded(ask: Ask, data: bytes) -> dict[Quantity, float | None]:
    words = [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]
    return {
        quantity: decode_words(point, words[point.address - ask.address :][: point.type.words])
        for quantity, point in _points().items()
    }


def fuzz_fleet(seed: int, seconds: float) -> Counter[str]:
    """Poll for so long; how many sweeps of whom were good.

    Raises:
        AssertionError: a value was taken that was not answered, or a device that is well was not read.
    """
    return run_virtual(lambda loop: _run(loop, seed, seconds))


async def _run(_loop: VirtualLoop, seed: int, seconds: float) -> Counter[str]:
    broken = [BrokenPeer(Random(seed + number)) for number in range(4)]
    well = [ScriptedPeer(), ScriptedPeer()]
    devices: list[Device] = []
    places: list[tuple[BrokenPeer, int] | None] = []
    for peer in broken:
        _, port = await peer.peer.listen()
        units = (1, 2, 3, 4) if peer is broken[0] else (1,)
        devices += [modbus_device(port, unit, profile=PROFILE) for unit in units]
        places += [(peer, unit) for unit in units]
    for honest in well:
        _, port = await honest.listen()
        devices.append(modbus_device(port, profile=PROFILE))
        places.append(None)
    sink = RecordingSink()
    async with running(devices, sink):
        await asyncio.sleep(seconds)
    tally: Counter[str] = Counter()
    for row, place in enumerate(places):
        samples = sink.of(row)
        if place is None:
            _judge_honest(samples, sink.reasons(row), seconds)
        else:
            _judge_broken(samples, place[0].right.get(place[1], []))
        tally["of the well" if place is None else "of the broken"] += len(samples)
    assert [peer.connections for peer in well] == [1, 1], "a neighbour lost its connection"
    tally["connections of the broken"] = sum(peer.peer.connections for peer in broken)
    return tally


def _judge_honest(samples: list[Sample], failures: list[Absence], seconds: float) -> None:
    assert not failures, failures
    assert len(samples) >= seconds - _PATIENCE_S, len(samples)


def _judge_broken(samples: list[Sample], right: list[dict[Quantity, float | None]]) -> None:
    """Every sample is an answer that may be taken, and they come in the order of these."""
    left = iter(right)
    for sample in samples:
        assert any(dict(sample.values) == values for values in left), f"nobody answered {sample}"
