"""A load by itself, and the loads by their ids."""

from collections.abc import Iterator, Mapping

import numpy as np

from sim_devices.physics.behaviour import Behaviour
from sim_devices.physics.loads import Loads, nan_of_none, none_of_nan


class Load:
    """One load, as a handle on its row."""

    __slots__ = ("_loads", "row")

    def __init__(self, loads: Loads, row: int) -> None:
        self._loads = loads
        self.row = row

    @property
    def id(self) -> str:
        """Its id."""
        return self._loads.id_of(self.row)

    @property
    def behaviour(self) -> Behaviour:
        """How it behaves."""
        return self._loads.behaviour_of(self.row)

    @property
    def factor(self) -> float:
        """What it draws for an order, relative to the order."""
        return float(self._loads.factor[self.row])

    @property
    def reading_factor(self) -> float:
        """What it reports of its draw, relative to the draw."""
        return float(self._loads.reading_factor[self.row])

    @property
    def ordered_w(self) -> float | None:
        """The set-point that it holds and shows: W, 0 = sleep, `None` = no limit."""
        return none_of_nan(self._loads.ordered_w[self.row])

    @property
    def disobeys(self) -> bool:
        """Answers OK, shows the set-point and goes on as before."""
        return bool(self._loads.disobeys[self.row])

    @property
    def powered(self) -> bool:
        """Whether it has supply."""
        return bool(self._loads.powered[self.row])

    @property
    def has_work(self) -> bool:
        """Whether its pool has work for it."""
        return bool(self._loads.has_work[self.row])

    @property
    def settled(self) -> bool:
        """Nothing will change without another order."""
        return bool(self._loads.settled[self.row])

    @property
    def draw_w(self) -> float:
        """True draw."""
        return float(self._loads.draw_w[self.row])

    @property
    def asleep(self) -> bool:
        """Whether an order to sleep has taken effect; having been told so is not enough."""
        return bool(self._loads.effective_w[self.row] == 0)

    @property
    def shed_w(self) -> float:
        """True W below which no order brings it: its sleep draw, or all of its draw if it disobeys."""
        return self.draw_w if self.disobeys else min(self.draw_w, self.behaviour.sleep_w)

    @property
    def reported_w(self) -> float:
        """What its own power reading says."""
        return self.draw_w * self.reading_factor

    def order(self, watts: float | None, now_s: float) -> None:
        """Take a set-point: at most `watts` W, 0 = sleep, `None` = no limit."""
        self._loads.order(np.array([self.row]), np.array([nan_of_none(watts)]), now_s)

    def reboot(self, now_s: float) -> None:
        """Restart: the set-point is forgotten, and the unit comes back at full power."""
        self._loads.reboot(self.row, now_s)

    def energy_wh(self, now_s: float) -> float:
        """Integral of the true draw since the start."""
        return float(self._loads.energy_wh(now_s)[self.row])

    def output(self, now_s: float) -> float:
        """TH/s or GPUs at work."""
        return float(self._loads.outputs(now_s, np.array([self.row]))[0])


class LoadsById(Mapping[str, Load]):
    """The loads by their ids."""

    def __init__(self, loads: Loads) -> None:
        self._loads = loads

    def __getitem__(self, load_id: str) -> Load:
        return Load(self._loads, self._loads.index[load_id])

    def __iter__(self) -> Iterator[str]:
        return iter(self._loads.index)

    def __len__(self) -> int:
        return len(self._loads)
