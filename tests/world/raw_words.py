"""What real devices send, written down from their documents by hand: nothing here comes from a profile.

By profile: function, registers by wire address, and what the quantities must be. `{}` = no such read.
"""

import struct
from dataclasses import dataclass, field

from tests.world.modbus_peer import Asked, ScriptedPeer, frame

Words = tuple[int, ...]

F_1234_5: Words = (0x449A, 0x5000)
F_230: Words = (0x4366, 0x0000)
F_50: Words = (0x4248, 0x0000)
F_6: Words = (0x40C0, 0x0000)
F_123_456: Words = (0x42F6, 0xE979)
W_65538: Words = (0, 0, 1, 2)


@dataclass(frozen=True)
class RawDevice:
    """Registers by (function, wire address of the first word)."""

    held: dict[tuple[int, int], Words]
    power: float
    energy: float | None = None
    """`None` = the profile reads none."""
    other: dict[str, float] = field(default_factory=dict)

    def words(self) -> dict[tuple[int, int], int]:
        """Word by function and address."""
        return {
            (function, address + offset): word
            for (function, address), words in self.held.items()
            for offset, word in enumerate(words)
        }


CARLO_GAVAZZI: dict[tuple[int, int], Words] = {
    (4, 0x00): (2300, 0),
    (4, 0x28): (0x3039, 0x0000),
    (4, 0x33): (500,),
    (4, 0x34): (0xE240, 0x0001),
}
PRO380: dict[tuple[int, int], Words] = {(3, 0x5008): F_50, (3, 0x5012): F_6, (3, 0x600C): F_123_456}

RAW: dict[str, RawDevice] = {
    "eastron-sdm630": RawDevice(
        {(4, 0x34): F_1234_5, (4, 0x46): F_50, (4, 0x48): F_123_456}, 1234.5, 123_456
    ),
    "eastron-sdm72d-m": RawDevice({(4, 0x34): F_1234_5, (4, 0x48): F_123_456}, 1234.5, 123_456),
    "schneider-iem3000": RawDevice({(3, 3059): F_6, (3, 3109): F_50, (3, 3203): W_65538}, 6000, 65_538),
    "schneider-pm5340": RawDevice({(3, 3059): F_6, (3, 3109): F_50, (3, 3203): W_65538}, 6000, 65_538),
    "carlo-gavazzi-em3x0": RawDevice(CARLO_GAVAZZI, 1234.5, 12_345_600),
    "carlo-gavazzi-em24-e1": RawDevice(
        CARLO_GAVAZZI | {(4, 0x0B): (1652,), (4, 0xA000): (7,)}, 1234.5, 12_345_600
    ),
    "carlo-gavazzi-em24-rs485": RawDevice(
        {(4, 0x28): (0x3039, 0), (4, 0x37): (500,), (4, 0x42): (0xE240, 1)}, 1234.5, 12_345_600
    ),
    "abb-b2x": RawDevice(
        {
            (3, 0x5000): (0, 0, 0, 12_345),
            (3, 0x5B14): (0xFFFE, 0x1DC0),
            (3, 0x8900): (0x0001, 0x0002),
            (3, 0x8960): (0x4232, 0x3320),
        },
        -1234.56,
        123_450,
        {"serial": 65_538},
    ),
    "janitza-umg96rm": RawDevice(
        {(3, 19026): F_1234_5, (3, 19050): F_50, (3, 19068): F_123_456}, 1234.5, 123.456
    ),
    # 100000.0 and 23456.0 as float64.
    "siemens-pac3200": RawDevice(
        {
            (3, 1): F_230,
            (3, 65): F_1234_5,
            (3, 801): (0x40F8, 0x6A00, 0, 0),
            (3, 805): (0x40D6, 0xE800, 0, 0),
        },
        1234.5,
        123_456,
    ),
    "socomec-countis-diris": RawDevice(
        {(3, 0xC350): (0x534F, 0x434F), (3, 0xC568): (0xFFFF, 0xFF9C), (3, 0xC702): (1, 0xE240)},
        -1000,
        1_234_560,
    ),
    "inepro-pro380": RawDevice(PRO380, 6000, 123_456),
    "wago-879": RawDevice(PRO380, 6000, 123_456),
    "acrel-adw300": RawDevice(
        {(3, 20): (2300,), (3, 36): (0, 12_345), (3, 62): (0, 12_345)}, 12_345, 123_450
    ),
    "chint-dtsu666": RawDevice(
        {(3, 0x101E): F_123_456, (3, 0x2012): F_1234_5, (3, 0x2044): (0x459C, 0x4000)}, 123.45, 123_456
    ),
    "finder-7m38": RawDevice({(4, 2536): F_1234_5, (4, 2584): F_50}, 1234.5),
    "accuenergy-acuvim-ii": RawDevice({(3, 0x4000): F_50, (3, 16418): F_1234_5}, 1234.5),
    "raritan-xerus-inlet": RawDevice({(3, 12306): F_1234_5, (3, 12322): F_50}, 1234.5),
    "gude-epc": RawDevice(
        {(4, 0x400): (1, 0xE240), (4, 0x402): (0, 3600), (4, 0x408): (0, 5000)}, 3600, 123_456
    ),
    "netio-power": RawDevice({(4, 0): (5000,), (4, 200): (3600,), (4, 300): (1, 0xE240)}, 3600, 123_456),
    # Half of a nominal power of 3000 W.
    "apc-smart-ups": RawDevice(
        {(3, 136): (12_800,), (3, 144): (6400,), (3, 145): (1, 0xE240), (3, 589): (3000,)}, 1500, 123_456
    ),
    # The map at 40000: model 1 with 66 registers, then the meter. 123.4 W, 1234560 Wh.
    "sunspec-meter-203": RawDevice(
        {
            (3, 40000): (0x5375, 0x6E53, 1, 66),
            (3, 40070): (203, 105),
            (3, 40086): (5000, 0xFFFE, 1234),
            (3, 40092): (0xFFFF,),
            (3, 40116): (1, 0xE240),
            (3, 40124): (1,),
            (3, 40177): (0xFFFF, 0),
        },
        123.4,
        1_234_560,
    ),
    # The map at 0, with a model in between that nobody asked for.
    "sunspec-meter-213": RawDevice(
        {
            (3, 0): (0x5375, 0x6E53, 1, 65),
            (3, 69): (17, 12),
            (3, 83): (213, 124),
            (3, 109): F_50,
            (3, 111): F_1234_5,
            (3, 151): F_123_456,
            (3, 209): (0xFFFF, 0),
        },
        1234.5,
        123.456,
    ),
    # The map at 50000. It injects 12340 W.
    "sunspec-der-701": RawDevice(
        {
            (3, 50000): (0x5375, 0x6E53, 1, 65),
            (3, 50069): (701, 153),
            (3, 50079): (1234,),
            (3, 50092): W_65538,
            (3, 50185): (1,),
            (3, 50224): (0xFFFF, 0),
        },
        -12_340,
        65_538,
    ),
    "microbt-container-pdu": RawDevice({(3, 73): (5000,), (3, 80): (400,)}, 4000),
    "microbt-container-meter": RawDevice({(3, 56): (40_000,), (3, 81): (5000,)}, 400_000),
}


class RawPeer(ScriptedPeer):
    """A server of raw words by function and address; what is not held reads 0."""

    def hold(self, device: RawDevice) -> None:
        """Serve these words from now on."""
        words = device.words()

        def answer(asked: Asked) -> bytes:
            shown = [words.get((asked.function, asked.address + i), 0) for i in range(asked.length)]
            pdu = struct.pack(f">BB{asked.length}H", asked.function, 2 * asked.length, *shown)
            return frame(asked.transaction, asked.unit, pdu)

        self.answer = answer
