"""What is written beside a set-point: outlets are switched, reversion timers armed, and no stranger is."""

import asyncio
from dataclasses import replace

import pytest

from drivers.ports import WriteResult
from drivers.profile import Profile, RegisterPoint, Reversion, WordOrder, WordType
from drivers.profiles import load_profile
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.modbus_peer import ScriptedPeer
from tests.world.recording_sink import RecordingSink, modbus_device, running


def test_an_outlet_is_switched_in_its_own_register_ahead_of_the_reads() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()
        async with running([modbus_device(port, profile="sim-pdu")], sink) as fleet:
            await asyncio.sleep(0.5)
            fleet.switch(0, 7, on=False)
            fleet.switch(0, 20, on=True)
            await asyncio.sleep(0.5)
            writes = [asked for asked in peer.asked if asked.function == 6]
            assert [(asked.address, asked.length) for asked in writes] == [(206, 0), (219, 1)]
            assert sink.writes == []  # what came of it shows in what is measured
            for outlet in (0, 21):
                with pytest.raises(ValueError, match="no switch for outlet"):
                    fleet.switch(0, outlet, on=False)

    run_virtual(main)


def test_a_device_that_is_not_there_is_not_switched_later() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()
        async with running([modbus_device(port, profile="sim-pdu")], sink) as fleet:
            fleet.switch(0, 7, on=False)  # before there is a connection
            await asyncio.sleep(2.0)
            assert not [asked for asked in peer.asked if asked.function == 6]

    run_virtual(main)


def register(name: str, address: int, kind: WordType) -> RegisterPoint:
    return RegisterPoint(name, address, kind, 3, WordOrder.BIG)


def reverting() -> Profile:
    profile = load_profile("sim-miner")
    assert profile.setpoint is not None
    reversion = Reversion(
        register("limit", 40, WordType.U32), register("timer", 42, WordType.U16), after_s=90.0
    )
    return replace(profile, setpoint=replace(profile.setpoint, reversion=reversion))


@pytest.mark.parametrize("timed", [True, False])
def test_who_cannot_be_told_what_to_fall_back_to_is_told_the_time_if_it_takes_one(*, timed: bool) -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()
        profile = reverting()
        assert profile.setpoint is not None
        reversion = profile.setpoint.reversion
        assert reversion is not None
        reversion = replace(reversion, limit=None, timer=reversion.timer if timed else None)
        profile = replace(profile, setpoint=replace(profile.setpoint, reversion=reversion))
        async with running([replace(modbus_device(port), profile=profile)], sink) as fleet:
            await asyncio.sleep(0.5)
            fleet.arm(0, 2000.0)
            await asyncio.sleep(0.5)
            assert [asked.address for asked in peer.asked if asked.function != 3] == [42] * timed

    run_virtual(main)


def test_a_reversion_timer_gets_its_limit_first_and_the_order_goes_on_as_ever() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()
        device = replace(modbus_device(port), profile=reverting())
        async with running([device], sink) as fleet:
            await asyncio.sleep(0.5)
            fleet.arm(0, 2000.0)
            fleet.order(0, 3000.0)
            await asyncio.sleep(0.5)
            writes = [(asked.function, asked.address) for asked in peer.asked if asked.function != 3]
            assert writes == [(16, 40), (6, 42), (16, 16)]
            assert sink.results() == [(3000.0, WriteResult.ACKNOWLEDGED)]
            with pytest.raises(ValueError, match="no switch"):
                fleet.switch(0, 1, on=False)

    run_virtual(main)
