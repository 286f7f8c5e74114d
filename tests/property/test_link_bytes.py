"""A link that is fed random bytes in random pieces neither crashes nor takes a wrong value."""

import asyncio
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.modbus.codec import decode_words
from drivers.profile import ModbusMap
from drivers.quantity import Quantity
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.modbus_peer import Asked, ScriptedPeer
from tests.world.recording_sink import RecordingSink, modbus_device, running

HEAD = struct.Struct(">HHHB")
# Near misses find more than noise does: frames with a right or almost right head, cut and mixed.
FRAMES = st.builds(
    lambda transaction, protocol, length, unit, pdu: HEAD.pack(transaction, protocol, length, unit) + pdu,
    st.integers(0, 8),
    st.sampled_from((0, 0, 0, 1)),
    st.integers(0, 40),
    st.integers(0, 2),
    st.one_of(st.binary(max_size=30), st.binary(max_size=20).map(lambda data: bytes([3, 20]) + data)),
)
NOISE = st.lists(st.one_of(st.binary(max_size=60), FRAMES), max_size=6).map(b"".join)


@settings(max_examples=150)
@given(st.lists(NOISE, min_size=3, max_size=3), st.integers(1, 50))
def test_noise(noise: list[bytes], piece: int) -> None:
    answers: list[tuple[Asked, bytes]] = []

    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()

        def answer(asked: Asked) -> None:
            data = noise[len(answers)] if len(answers) < len(noise) else peer.right(asked)
            answers.append((asked, data))
            for start in range(0, len(data), piece):
                peer.open[-1].send(data[start : start + piece])

        peer.answer = answer
        async with running([modbus_device(port, profile="sim-meter")], sink):
            await asyncio.sleep(20)
        # Whatever came before: it goes on and reads the truth in the end.
        assert sink.samples
        assert sink.samples[-1].values[Quantity.POWER] == 1.0
        for sample in sink.samples:
            assert any(_is_answer(asked, data, sample.values) for asked, data in answers)

    run_virtual(main)


def _is_answer(asked: Asked, data: bytes, values: object) -> bool:
    """Whether the bytes hold, somewhere, the complete right answer with these values."""
    head = struct.pack(">HHHBBB", asked.transaction, 0, 23, asked.unit, asked.function, 20)
    at = data.find(head)
    if at < 0 or len(data) < at + len(head) + 20:
        return False
    words = struct.unpack_from(">10H", data, at + len(head))
    register_map = modbus_device(1, profile="sim-meter").profile.map
    assert isinstance(register_map, ModbusMap)
    return values == {
        point.quantity: decode_words(point, words[point.address : point.address + point.type.words])
        for point in register_map.points
        if point.quantity is not None
    }


def test_a_fleet_that_never_connected_can_be_ended() -> None:
    async def main(_loop: VirtualLoop) -> None:
        async with running([modbus_device(1)], RecordingSink()):
            pass

    run_virtual(main)
