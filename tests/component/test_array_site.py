"""The core's judge where a gateway reboots under a limit of 0: what must be forgiven, and what must not."""

from sim_devices.scenario import PlantTable, ScenarioDocument
from tests.world.array_site import ArraySite

REBOOT_S = 400
REBOOT = {"fault": "reboot", "at_s": REBOOT_S, "for_s": 30, "gateways": "gw-*"}


def asleep(model: str = "sim-miner", disobedient_share: float = 0.0) -> ArraySite:
    """All that can be shed is, a moment before all the gateways reboot."""
    scenario = ScenarioDocument.model_validate(
        {
            "title": "Gateways reboot",
            "plant": PlantTable(
                miners=60, racks=0, pdus=0, mix={model: 1}, gateways=2, disobedient_share=disobedient_share
            ),
            "events": [REBOOT],
        }
    )
    site = ArraySite.of(scenario, seed=1)
    site.quota((0, None))
    site.run(60)
    site.quota((0, 0))
    site.run(REBOOT_S - 10 - site.model_s)
    assert site.judge.violations == []
    return site


def test_who_comes_back_unasked_is_put_back_to_sleep_in_time() -> None:
    site = asleep()
    asleep_w = site.plant.model.load_w
    site.run(30)
    assert site.plant.model.load_w > 10 * asleep_w
    site.run(180)
    assert site.plant.model.load_w < 1.1 * asleep_w
    assert site.judge.violations == []


def test_who_is_left_at_full_power_is_held_against_the_site() -> None:
    site = asleep()
    site.fleet.order = lambda *_: None  # type: ignore[method-assign] # nobody hears it
    site.run(180)
    assert site.judge.violations


def test_who_boots_for_minutes_is_told_before_it_draws_anything() -> None:
    """Its read-back says that it holds no limit any more."""
    site = asleep("sim-miner-m50s-restarting")
    asleep_w = site.plant.model.load_w
    highest_w = 0.0
    for _ in range(240):
        site.run(1)
        highest_w = max(highest_w, site.plant.model.load_w)
    assert highest_w < 1.1 * asleep_w
    assert site.judge.violations == []


def test_the_second_in_which_the_disobedient_drop_is_judged_by_what_they_drew() -> None:
    site = asleep(disobedient_share=0.2)
    site.run(30)
    assert site.judge.violations == []
