"""What nothing could have shed: a twin of the plant in which every load was told to sleep at once."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from sim_devices.physics import PlantModel
from sim_devices.plant import Moment

REACTION_S = 2.0
"""A site may take so long from a limit's publication to its last order: network, a cycle, network."""


@dataclass(slots=True)
class Shadow:
    """A twin from the moment at which a limit came without warning.

    Slow actuators and loads that do not obey hold the twin's power up by physics, as they do the site's.
    """

    model: PlantModel
    first: int
    """Index of the first entry of the plant's history that comes after the twin."""
    published_s: float
    until_s: float = float("inf")
    """From here on another limit counts."""

    @classmethod
    def of(cls, model: PlantModel, *, first: int, published_s: float) -> "Shadow":
        """A twin of the plant as it is now."""
        return cls(copy.deepcopy(model), first, published_s)

    def floor_w(self, history: Sequence[Moment], step_s: float) -> list[float]:
        """The twin's power at every moment of a history; 0 where it says nothing.

        Works on a twin of its own, so that it can be asked again.
        """
        model, ordered, course = copy.deepcopy(self.model), False, [0.0] * len(history)
        for index in range(self.first, len(history)):
            moment = history[index]
            if moment.wall_s >= self.until_s:
                break
            if not ordered and moment.wall_s - step_s >= self.published_s + REACTION_S:
                ordered = True
                for load_id in model.loads:
                    model.order(load_id, 0)
            model.step(step_s)
            course[index] = model.true_power_w
        return course
