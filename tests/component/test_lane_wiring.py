"""MQTT devices have a way to the broker of their own; a site without any has none."""

from pathlib import Path

import pytest

from daemon.mqtt.topics import client_id, lane_client_id
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.virtual_site import SITE, VirtualSite


@pytest.mark.parametrize("racks", [0, 1])
def test_the_lane_is_there_for_devices_and_only_for_them(racks: int, tmp_path: Path) -> None:
    async def main(loop: VirtualLoop) -> None:
        async with VirtualSite(loop, tmp_path, miners=3, racks=racks) as site:
            await site.start()
            await site.run(30)
            assert site.daemon is not None
            assert (site.daemon._devices.lane is not None) == (racks > 0)
            assert site.state["devices"]["ok"] == site.state["devices"]["total"]

    run_virtual(main)


def test_the_lanes_client_id_is_not_the_control_planes() -> None:
    assert lane_client_id(SITE) == f"{client_id(SITE)}-devices"
