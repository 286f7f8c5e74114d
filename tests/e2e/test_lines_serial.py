"""What only a serial line has: a wire that all share, silence between frames, noise, a plug."""

import asyncio
import logging
from pathlib import Path

import pytest

from drivers.address import ModbusRtuAddress
from drivers.device import Device
from drivers.modbus.pymodbus_line import PymodbusLine
from drivers.ports import Absence, WriteResult
from drivers.profiles import load_profile
from drivers.quantity import Quantity
from tests.world.line_bench import (
    SILENCE_S,
    Hearing,
    Kind,
    LineBench,
    Outcome,
    bench,
    read,
    serial_peer,
    values,
)
from tests.world.modbus_peer import Asked, ScriptedPeer, frame, good
from tests.world.recording_sink import RecordingSink, running


def device(path: str, unit: int, profile: str = "sim-miner") -> Device:
    return Device(f"d{unit}", load_profile(profile), ModbusRtuAddress(path, 9600, unit), 0.5)


async def until(sink: RecordingSink, rows: set[int], within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while {sample.row for sample in sink.samples} < rows:  # noqa: ASYNC110  a sink signals nothing
            await asyncio.sleep(0.05)


# --- the line ------------------------------------------------------------------------------------------


async def test_the_late_answer_of_a_unit_is_not_taken_for_its_next() -> None:
    async with bench(Kind.PYMODBUS_SERIAL) as at:
        at.peer.delay_s = 0.3
        assert (await at.ask(read(1, 16, 4), 0.25)).what == "silence"
        at.peer.delay_s = 0.0
        after = read(1, 200, 4)
        assert await at.ask(after, 1.0) == Outcome("answered", values(after))


async def test_a_late_unit_keeps_no_other_from_being_asked() -> None:
    async with bench(Kind.PYMODBUS_SERIAL) as at:
        at.peer.delay_s = 1.1
        assert (await at.ask(read(1, 16, 4), 1.0)).what == "silence"
        at.peer.delay_s = 0.0
        after = read(2, 200, 4)
        asked_at = asyncio.get_running_loop().time()
        assert await at.ask(after) == Outcome("answered", values(after))
        assert at.peer.asked[-1].at - asked_at < 0.4  # else it waited for the other


async def test_a_unit_that_answers_wrongly_is_left_alone_until_the_right_answer_has_passed() -> None:
    async with bench(Kind.PYMODBUS_SERIAL) as at:
        first = read(1, 16, 4)

        async def too_late(asked: Asked) -> None:
            await asyncio.sleep(0.2)
            at.far.write(at.far.framed(good(asked)))

        tasks: list[asyncio.Task[None]] = []

        def answer(asked: Asked) -> bytes:
            tasks.append(asyncio.create_task(too_late(asked)))
            return frame(0, 1, b"\x03\x02\x00\x01")

        at.peer.answer = answer
        assert (await at.ask(first)).what == "failed"
        at.peer.answer = None
        after = read(1, 300, 4)
        assert await at.ask(after, 2.0) == Outcome("answered", values(after))
        assert at.peer.asked[-1].at - at.peer.asked[-2].at > 0.9


async def test_a_request_that_was_held_back_and_given_up_is_never_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with bench(Kind.PYMODBUS_SERIAL) as at:
        at.peer.answer = lambda _: None
        assert (await at.ask(read(1, 16, 4), 0.2)).what == "silence"
        assert (await at.ask(read(1, 20, 4), 0.05)).what == "silence"
        at.peer.answer = None
        after = read(2, 200, 4)
        assert await at.ask(after) == Outcome("answered", values(after))
        await asyncio.sleep(0.3)
        assert [asked.address for asked in at.peer.asked] == [16, 200]
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_frames_are_kept_apart_by_silence() -> None:
    peer, user = ScriptedPeer(), Hearing()
    async with serial_peer(peer) as (path, far):
        line = PymodbusLine.serial(path, 1200, "N", 1, user)
        at = LineBench(line, user, peer, far)
        await at.open()
        for address in (10, 20, 30):
            request = read(1, address, 2)
            assert await at.ask(request, 1.0) == Outcome("answered", values(request))
        gaps = [after.at - before.at for before, after in zip(peer.asked, peer.asked[1:], strict=False)]
        assert min(gaps) >= 3.5 * 11 / 1200
        line.close()


@pytest.mark.parametrize("noise", [b"\x00", b"\xff\x83", b"\x01\x03", b"\x01\x83\x02\x00\x00", bytes(40)])
async def test_noise_before_an_answer_costs_that_answer_at_most(noise: bytes) -> None:
    async with bench(Kind.PYMODBUS_SERIAL) as at:

        def answer(asked: Asked) -> None:
            at.far.write(noise + at.far.framed(good(asked)))

        at.peer.answer = answer
        request = read(1, 16, 4)
        outcome = await at.ask(request, SILENCE_S)
        assert outcome.what == "silence" or outcome == Outcome("answered", values(request))
        at.peer.answer = None
        after = read(2, 200, 4)
        assert await at.ask(after) == Outcome("answered", values(after))


async def test_a_frame_with_a_flipped_bit_is_no_answer() -> None:
    async with bench(Kind.PYMODBUS_SERIAL) as at:
        for bit in range(0, 104, 7):

            def answer(asked: Asked, bit: int = bit) -> None:
                right = bytearray(at.far.framed(good(asked)))
                right[bit // 8] ^= 1 << bit % 8
                at.far.write(bytes(right))

            at.peer.answer = answer
            assert (await at.ask(read(1 + bit, 16, 4), 0.05)).what == "silence"


async def test_a_plug_that_is_pulled_ends_the_connection() -> None:
    async with bench(Kind.PYMODBUS_SERIAL) as at:
        at.line.ask(read())
        await asyncio.sleep(0)
        at.far.hang_up()
        outcome = Outcome("answered")
        while outcome.what == "answered":
            _, outcome = await at.hear()
        assert (outcome.what, outcome.desync) == ("closed", False)
        with pytest.raises(OSError, match="could not open port"):
            await at.line.open()


async def test_a_path_that_is_no_serial_line_is_an_os_error_said_aloud_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "ttyS9"
    line = PymodbusLine.serial(str(file), 9600, "N", 1, Hearing())
    with caplog.at_level(logging.DEBUG, "drivers"):
        for _ in range(3):
            with pytest.raises(OSError, match="No such file"):
                await line.open()
        file.write_text("", encoding="utf-8")
        with pytest.raises(OSError, match="Could not configure port"):
            await line.open()
    levels = [record.levelname for record in caplog.records if str(file) in record.getMessage()]
    assert levels == ["WARNING", "DEBUG", "DEBUG", "WARNING"]


async def test_trouble_that_comes_back_after_the_line_was_well_is_said_aloud_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plug = tmp_path / "ttyUSB0"
    peer, user = ScriptedPeer(), Hearing()
    async with serial_peer(peer) as (path, far):
        at = LineBench(PymodbusLine.serial(str(plug), 9600, "N", 1, user), user, peer, far)
        for _ in range(2):
            with pytest.raises(OSError, match="No such file"):
                await at.line.open()
            plug.symlink_to(path)
            await at.open()
            assert (await at.ask(read())).what == "answered"
            at.line.close()
            plug.unlink()
    assert [record.levelname for record in caplog.records if "No such file" in record.getMessage()] == [
        "WARNING",
        "WARNING",
    ]


async def test_settings_that_a_port_does_not_have_are_an_os_error() -> None:
    async with serial_peer(ScriptedPeer()) as (path, _):  # a pseudo-terminal knows no parity
        line = PymodbusLine.serial(path, 9600, "E", 1, Hearing())
        with pytest.raises(OSError, match="speed, parity or stop bits are not possible there"):
            await line.open()


async def test_a_line_that_another_program_holds_is_refused() -> None:
    async with bench(Kind.PYMODBUS_SERIAL) as at:
        assert isinstance(at.line, PymodbusLine)
        other = PymodbusLine.serial(at.line._way.name, 9600, "N", 1, Hearing())
        with pytest.raises(OSError, match="exclusively lock"):
            await other.open()


# --- whole devices -------------------------------------------------------------------------------------


async def test_the_units_of_a_line_are_read_and_ordered_and_a_dead_one_costs_the_others_little() -> None:
    sink, peer = RecordingSink(), ScriptedPeer()
    peer.answer = lambda asked: None if asked.unit == 3 else peer.right(asked)
    async with serial_peer(peer) as (path, _):
        for unit in (1, 2):
            peer.registers |= {(unit, 0): 0, (unit, 1): 3000 + unit}
        async with running([device(path, unit) for unit in (1, 2, 3)], sink) as fleet:
            await until(sink, {0, 1})
            fleet.order(1, 2000)
            await asyncio.sleep(3.0)
    assert [sink.of(row)[-1].values[Quantity.POWER] for row in (0, 1)] == [3001, 3002]
    assert sink.results() == [(2000, WriteResult.ACKNOWLEDGED)]
    assert sink.of(1)[-1].values[Quantity.SETPOINT] == 2000
    assert set(sink.reasons(2)) <= {Absence.TIMED_OUT, Absence.NOT_CONNECTED}
    assert not sink.of(2)


async def test_a_line_that_is_not_there_is_tried_again_until_it_is(tmp_path: Path) -> None:
    sink, peer = RecordingSink(), ScriptedPeer()
    plug = tmp_path / "ttyUSB0"
    async with serial_peer(peer) as (path, _), running([device(str(plug), 1)], sink):
        await asyncio.sleep(0.8)
        assert set(sink.reasons(0)) == {Absence.NOT_CONNECTED}
        plug.symlink_to(path)
        await until(sink, {0})


async def test_on_a_slow_line_a_wide_map_is_asked_for_in_pieces() -> None:
    sink, peer = RecordingSink(), ScriptedPeer()
    async with serial_peer(peer) as (path, _):
        slow = Device("d", load_profile("sim-pdu"), ModbusRtuAddress(path, 1200, 1), 0.5)
        async with running([slow], sink):
            await until(sink, {0})
    assert max(asked.length for asked in peer.asked) <= 32
