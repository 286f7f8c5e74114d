"""What a configuration needs of open files, and the line that cures a limit that is too low."""

from pathlib import Path

import pytest

from daemon.config import load_config
from daemon.config.open_files import RESERVE, OpenFiles, open_files_needed
from tests.world.site_files import GOOD, write_site


def needed(folder: Path, *addresses: str) -> int:
    """Files for the devices at these addresses, beside those of a site with its meter alone."""
    head, _, _ = GOOD.partition("[[devices]]")
    meter = '[[devices]]\nid = "poi"\nprofile = "sim-meter"\naddress = "modbus://10.0.0.5/1"\n'
    profiles = {"modbus": "sim-miner", "mqtt": "sim-gpu-rack"}
    devices = "".join(
        f'[[devices]]\nid = "d-{number}"\nprofile = "{profiles[address.partition(":")[0]]}"\n'
        f'address = "{address}"\ncircuit = "feeder-1"\n'
        for number, address in enumerate(addresses)
    )
    return open_files_needed(load_config(write_site(folder, head + meter + devices))) - RESERVE - 1


@pytest.mark.parametrize(
    ("addresses", "files"),
    [
        ((), 0),
        (("modbus://10.1.0.1/1", "modbus://10.1.0.2/1"), 2),
        (("modbus://10.1.0.1/1", "modbus://10.1.0.1/2"), 1),
        (("modbus://10.1.0.1/1", "modbus://10.1.0.1:503/1"), 2),
        (("modbus://10.0.0.5/7",), 0),
        (("mqtt:hall/rack-1", "mqtt:hall/rack-2"), 0),
    ],
    ids=["meter", "two hosts", "two units", "two ports", "behind the meter's gateway", "MQTT"],
)
def test_every_end_is_a_file(tmp_path: Path, addresses: tuple[str, ...], files: int) -> None:
    assert needed(tmp_path, *addresses) == files


@pytest.mark.parametrize(
    ("required", "limit", "enough"), [(1000, 1000, True), (1001, 1000, False), (1000, 65_536, True)]
)
def test_as_many_as_are_needed_are_enough(required: int, limit: int, enough: bool) -> None:  # noqa: FBT001
    assert OpenFiles(required, limit).enough is enough


@pytest.mark.parametrize(("required", "written"), [(1024, 65_536), (65_535, 65_536), (70_000, 131_072)])
def test_the_cure_names_a_line_that_is_enough(required: int, written: int) -> None:
    assert OpenFiles(required, 1000).cure == (
        f"the daemon needs {required} open files and may have 1000: write LimitNOFILE={written} in its "
        f"systemd unit, or ulimit -n {written} before it is started by hand"
    )
