"""READY when a limit has been dispatched, WATCHDOG only while cycles come on time."""

from daemon.service.liveness import LATE_S, Liveness
from daemon.service.notify import Notifier


class Manager(Notifier):
    """Notes what it would send."""

    def __init__(self, watchdog_s: float | None = 30.0) -> None:
        super().__init__(None, watchdog_s)
        self.heard: list[str] = []

    def _send(self, state: str, status: str, *, raw: bool = False) -> None:
        del raw
        self.heard.append(f"{state}|{status}" if state else status)


def cycles(liveness: Liveness, from_s: float, to_s: float, every_s: float = 1.0) -> None:
    now_s = from_s
    while now_s < to_s:
        liveness.cycled(now_s, "limited: limit 1.000 MW", dispatched=True)
        now_s += every_s


def fed(manager: Manager) -> int:
    return manager.heard.count("WATCHDOG=1|")


def test_it_is_ready_once_a_limit_has_been_dispatched() -> None:
    manager = Manager()
    liveness = Liveness(manager)

    liveness.cycled(0.0, "init: limit 1.000 MW", dispatched=False)
    assert manager.heard == []
    liveness.cycled(1.0, "init: limit 1.000 MW", dispatched=True)

    assert manager.heard == ["READY=1|init: limit 1.000 MW", "WATCHDOG=1|"]


def test_cycles_on_time_feed_the_watchdog_well_within_its_time() -> None:
    manager = Manager(30.0)

    cycles(Liveness(manager), 0.0, 60.0)

    assert fed(manager) == 8
    assert [line for line in manager.heard if line.startswith("READY")] == ["READY=1|limited: limit 1.000 MW"]


def test_a_loop_that_is_always_late_starves_it() -> None:
    manager = Manager(30.0)

    cycles(Liveness(manager), 0.0, 120.0, every_s=LATE_S + 1.0)

    assert fed(manager) == 1


def test_one_hiccup_does_not() -> None:
    manager = Manager(30.0)
    liveness = Liveness(manager)

    cycles(liveness, 0.0, 20.0)
    before = fed(manager)
    cycles(liveness, 28.0, 50.0)

    assert fed(manager) - before >= 2


def test_nobody_waits_for_it() -> None:
    manager = Manager(None)

    cycles(Liveness(manager), 0.0, 60.0)

    assert fed(manager) == 0


def test_the_status_says_why_a_reload_was_refused_until_the_next() -> None:
    manager = Manager(None)
    liveness = Liveness(manager)
    cycles(liveness, 0.0, 2.0)
    manager.heard.clear()

    liveness.refused(["site.toml: site.interval_s: is 7", "site.toml: mqtt: is missing"])
    refused = "reload refused (and 1 more): site.toml: site.interval_s: is 7 | limited: limit 1.000 MW"
    assert manager.heard == [f"READY=1|{refused}"]
    cycles(liveness, 2.0, 200.0)
    assert set(manager.heard[1:]) == {refused}
    liveness.reloaded(200.0, "devices: 1 added")

    assert manager.heard[-1] == "READY=1|reloaded, devices: 1 added | limited: limit 1.000 MW"


def test_the_status_says_for_a_minute_that_a_reload_was_taken() -> None:
    manager = Manager(None)
    liveness = Liveness(manager)
    cycles(liveness, 0.0, 2.0)
    liveness.reloaded(2.0, "the devices are the same")
    manager.heard.clear()

    cycles(liveness, 2.0, 60.0)
    assert set(manager.heard) == {"reloaded, the devices are the same | limited: limit 1.000 MW"}
    manager.heard.clear()
    cycles(liveness, 62.0, 120.0)

    assert set(manager.heard) == {"limited: limit 1.000 MW"}
