"""What can be made to go wrong with a simulated device."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from sim_devices.physics import PlantModel


class AnswerFault(StrEnum):
    """A way to answer wrongly."""

    SHORT = "short"
    """Fewer registers than asked, with a byte count to match. On MQTT: half a message."""
    LONG = "long"
    """More registers than asked. On MQTT: an unknown member."""
    LYING_COUNT = "lying-count"
    """A byte count that is not the number of bytes that follow."""
    GARBAGE = "garbage"
    """Bytes that are no frame. On MQTT: bytes that are no JSON."""
    WRONG_TRANSACTION = "wrong-transaction"
    WRONG_UNIT = "wrong-unit"
    WRONG_FUNCTION = "wrong-function"


@dataclass(frozen=True, slots=True)
class Shown:
    """A set-point that is shown whatever is held."""

    watts: float | None
    """0 = sleep, `None` = no limit."""


class DeviceFaults:
    """The faults of one device. Set an attribute, and set it back; they can be combined.

    Args:
        device_id: which device.
        model: its plant.
        seed: of what happens now and then.
    """

    latency_s: float
    """Every answer or message comes so much later; an order is taken when it arrives."""
    silent: bool
    """Half-open, as if its cable were cut: it accepts, and no request, order or message gets through."""
    refuse: bool
    """Nobody listens at its address; open connections are cut. On MQTT as `silent`."""
    drop_every: int
    """Each so-manyth request or message is lost; 0 = none."""
    drop_share: float
    """This share of the requests or messages is lost, drawn by seed."""
    lose_answers: bool
    """What `drop_*` loses is the answer, after the request was carried out."""
    exception: int | None
    """Answers every request with this Modbus exception code."""
    refuse_writes: int | None
    """Answers every write with this Modbus exception code. On MQTT it ignores orders."""
    frozen: bool
    """Goes on showing the values of the first answer after this was set, each time as if they were new."""
    unavailable: bool
    """Shows "not available" in every point that can say so. On MQTT: `null`."""
    readback: Shown | None
    """Shows this set-point instead of the one it holds."""
    answer: AnswerFault | None
    """Answers wrongly."""
    byte_pause_s: float | None
    """Sends one byte at a time, so far apart."""

    SOUND: ClassVar[dict[str, object]] = {
        "latency_s": 0.0,
        "silent": False,
        "refuse": False,
        "drop_every": 0,
        "drop_share": 0.0,
        "lose_answers": False,
        "exception": None,
        "refuse_writes": None,
        "frozen": False,
        "unavailable": False,
        "readback": None,
        "answer": None,
        "byte_pause_s": None,
    }
    """What these are when nothing is wrong."""

    __slots__ = (*SOUND, "_id", "_model", "_requests", "_rng", "_seed", "_vanish", "_watch", "sound")

    def __init__(self, device_id: str, model: PlantModel, *, seed: int = 0) -> None:
        self._id = device_id
        self._model = model
        self._seed = seed
        self._rng: random.Random | None = None
        self._requests = 0
        self._watch: Callable[[], None] | None = None
        self._vanish: Callable[[], None] | None = None
        self.sound = True
        """Nothing above is wrong."""
        for name, value in self.SOUND.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        """Setting a fault tells the device's shell, which looks at faults only when there are some."""
        object.__setattr__(self, name, value)
        if name in self.SOUND:
            self.sound = all(getattr(self, each) == sound for each, sound in self.SOUND.items())
            if self._watch is not None:
                self._watch()

    def attach(self, *, changed: Callable[[], None], vanish: Callable[[], None]) -> None:
        """Tell the device's shell when a fault changes, and when its connections vanish."""
        self._watch, self._vanish = changed, vanish

    def drops(self) -> bool:
        """Whether the request or message at hand is one that is lost."""
        if self.drop_every:
            self._requests += 1
            if self._requests % self.drop_every == 0:
                return True
        if self.drop_share > 0:
            if self._rng is None:
                self._rng = random.Random(f"{self._seed} {self._id}")
            return self._rng.random() < self.drop_share
        return False

    # --- the unit itself: these change what is true, or what is measured of it ----------------------

    @property
    def disobey(self) -> bool:
        """Whether it answers OK to orders and does not carry them out. Loads only."""
        return self._model.loads[self._id].disobeys

    @disobey.setter
    def disobey(self, value: bool) -> None:
        self._model.set_disobeys(self._id, value)

    @property
    def no_work(self) -> bool:
        """Whether its pool has no work for it: it idles, and is back at once with the work. Loads only."""
        return not self._model.loads[self._id].has_work

    @no_work.setter
    def no_work(self, value: bool) -> None:
        self._model.set_has_work(self._id, not value)

    @property
    def lie(self) -> float:
        """What it reports of its power too much, as a share of it: 0.2 = 20 % more than it knows."""
        return self._model.misreading(self._id)

    @lie.setter
    def lie(self, share: float) -> None:
        self._model.misread(self._id, share)

    @property
    def backwards(self) -> bool:
        """Whether its register counts down. Meters only."""
        return self._model.meters[self._id].backwards

    @backwards.setter
    def backwards(self, value: bool) -> None:
        self._model.meters[self._id].backwards = value

    def jump(self, wh: int) -> None:
        """Move a meter's register by so much, up or down."""
        self._model.meters[self._id].register_start_wh += wh

    def roll_over(self, after_wh: int) -> None:
        """Let a meter's register begin at 0 again when another `after_wh` have been counted."""
        self._model.meters[self._id].roll_over(after_wh)

    def reboot(self) -> None:
        """Restart a load: it forgets its set-point and wakes at full power."""
        self._model.reboot(self._id)

    def vanish(self) -> None:
        """Its open connections are never answered again, nor ended; new ones are served."""
        if self._vanish is not None:
            self._vanish()

    def clear(self) -> None:
        """Mend everything that lies in its shell; disobedience, lies and the like are the unit's own."""
        for name, value in self.SOUND.items():
            setattr(self, name, value)
