"""What `/metrics` says of circuits, classes and devices is what the plant's loads draw."""

from pathlib import Path

import pytest

from daemon.cycle.powers import powers
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.virtual_site import VirtualSite


def test_each_circuit_has_what_hangs_below_it(tmp_path: Path) -> None:
    async def main(loop: VirtualLoop) -> None:
        async with VirtualSite(
            loop, tmp_path, miners=12, racks=2, containers=2, disobedient_share=0.0
        ) as site:
            await site.start()
            assert site.daemon is not None
            controller, config = site.daemon._loop.controller, site.config
            site.dispatcher.quota((0, None))
            await site.run(200)

            seen = powers(controller, config.circuits)

            fleet = site.plant.truth.fleet
            assert set(seen.devices) == set(fleet.index)
            drawn_w = {name: float(fleet.draw_w[row]) for name, row in fleet.index.items()}
            assert seen.devices == pytest.approx(drawn_w, rel=0.05, abs=50)
            above = {circuit.id: circuit.parent for circuit in config.circuits}
            assert any(above.values())
            below: dict[str, float] = dict.fromkeys(above, 0.0)
            for device in config.devices:
                circuit = device.circuit
                while circuit is not None and device.id in seen.devices:
                    below[circuit] += seen.devices[device.id]
                    circuit = above[circuit]
            assert {name: watts for name, (watts, _) in seen.circuits.items()} == pytest.approx(below)
            assert {name: max_w for name, (_, max_w) in seen.circuits.items()} == {
                circuit.id: circuit.max_w for circuit in config.circuits
            }
            racks_w = sum(watts for name, watts in seen.devices.items() if name.startswith("rack"))
            assert seen.classes == pytest.approx(
                {"hash": sum(seen.devices.values()) - racks_w, "gpu": racks_w}
            )

    run_virtual(main)
