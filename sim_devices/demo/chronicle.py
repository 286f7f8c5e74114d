"""What happened in a demo, for the judge and for the screen."""

from collections.abc import Callable
from dataclasses import dataclass, field

from daemon.clock import Clock
from sim_devices.demo.judge import Step


@dataclass(slots=True)
class Chronicle:
    """The scenario's steps, and lines for whoever watches."""

    clock: Clock
    steps: list[Step] = field(default_factory=list)
    notes: list[tuple[float, str]] = field(default_factory=list)
    """Unix time and text."""
    listeners: list[Callable[[float, str], None]] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Something worth a line."""
        wall_s = self.clock.wall()
        self.notes.append((wall_s, text))
        for listener in self.listeners:
            listener(wall_s, text)

    def step(self, step: Step, text: str) -> None:
        """Another limit is in force."""
        self.steps.append(step)
        self.note(text)
