"""The demo's chart, its timing and its folder."""

import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from daemon.config import load_config
from daemon.signing import PrivateKey
from sim_devices.demo.chart import Column, draw
from sim_devices.demo.errors import DemoError
from sim_devices.demo.scenario import SHORTEST, Timing
from sim_devices.demo.site_files import Neighbours, SiteFiles
from sim_devices.demo.terms import Terms
from sim_devices.plant import Plant


def test_power_is_drawn_as_bars_and_the_limit_as_a_line_above_them() -> None:
    columns = [Column(0, 1000), Column(500, 1000), Column(1000, 1000), Column(250, 500)]
    assert draw(columns, width=4, height=4, top_w=1000) == ["──█ ", "  █─", " ██ ", " ███"]


def test_the_newest_columns_are_shown_and_parts_of_a_letter_too() -> None:
    columns = [Column(1000, 1000)] * 5 + [Column(125, 2000)]
    assert draw(columns, width=2, height=1, top_w=1000) == ["█▁"]
    assert draw([], width=3, height=1, top_w=1000) == ["   "]


def test_a_longer_demo_holds_longer_and_a_shorter_one_is_refused() -> None:
    default = Timing()
    assert Timing.lasting(default.total_s) == default
    assert Timing.lasting(SHORTEST.total_s) == SHORTEST
    longer = Timing.lasting(200)
    assert longer.total_s == pytest.approx(200)
    assert all(
        getattr(longer, field.name) >= getattr(default, field.name) >= getattr(SHORTEST, field.name)
        for field in fields(Timing)
    )
    with pytest.raises(ValueError, match=str(round(SHORTEST.total_s))):
        Timing.lasting(SHORTEST.total_s - 1)


def test_every_timing_leaves_the_slowest_loads_their_time_and_authority_its_end() -> None:
    for timing in (SHORTEST, Timing(), Timing.lasting(300)):
        assert timing.off_s + timing.silent_s >= 27
        assert timing.silent_s >= Terms(1, 1).lease_timeout_s + 2
        assert timing.limited_s > Terms(1, 1).settle_s


async def test_the_daemon_takes_the_configuration_that_is_left_behind(tmp_path: Path) -> None:
    files = SiteFiles(tmp_path / "demo")
    files.open()
    key = files.write_key()
    jwk = PrivateKey.generate().public_jwk()
    neighbours = Neighbours(
        "mqtt://127.0.0.1:1", "http://127.0.0.1:2/", "x-1", jwk, "127.0.0.1:3", key.public_jwk()
    )
    terms = Terms.of_plant(1_023_456.7)
    async with Plant(12) as plant:
        files.write_config(terms, neighbours, plant.config_toml())
        config = load_config(files.config)
        assert len(config.devices) == len(plant.devices)
    files.close()
    assert (config.site.contract_max_w, config.site.failsafe_w) == (1_126_000, 307_000)
    assert (config.site.interval_s, config.control.lease_timeout_s, config.control.settle_s) == (10, 6, 10)
    assert (config.control.failsafe_ramp_s, config.control.ramp_up_pct_per_min) == (10, 200)
    assert PrivateKey.load(files.folder / "site.jwk").kid == key.kid
    assert tomllib.loads(files.config.read_text(encoding="utf-8"))["site"]["id"] == "demo-01"


def test_a_folder_is_used_again_and_what_is_not_ours_stays(tmp_path: Path) -> None:
    files = SiteFiles(tmp_path)
    files.open()
    old = files.write_key()
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "site.db").touch()
    (tmp_path / "notes.txt").touch()
    files.close()
    files.open()
    assert not (tmp_path / "state").exists()
    assert (tmp_path / "notes.txt").exists()
    assert files.write_key().kid != old.kid
    files.close()


def test_a_folder_with_other_peoples_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with pytest.raises(DemoError, match="--dir"):
        SiteFiles(tmp_path).open()
    assert (tmp_path / "state").exists()


def test_two_demos_do_not_share_a_folder(tmp_path: Path) -> None:
    first = SiteFiles(tmp_path)
    first.open()
    with pytest.raises(DemoError, match="another demo"):
        SiteFiles(tmp_path).open()
    first.close()


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DemoError, match="--dir"):
        SiteFiles(tmp_path / "file" / "demo").open()
