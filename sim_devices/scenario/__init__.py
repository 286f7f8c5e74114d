"""Scenario files: what goes wrong at a simulated site, and when (docs/simulated-site.md)."""

from sim_devices.scenario.dispatch import (
    DispatchTable,
    MessagesTable,
    RandomSteps,
    Span,
    Step,
    WiresTable,
)
from sim_devices.scenario.document import PlantTable, ScenarioDocument, ScenarioError, simulated_miners
from sim_devices.scenario.play import Play, Site
from sim_devices.scenario.reading import load_scenario

__all__ = [
    "DispatchTable",
    "MessagesTable",
    "PlantTable",
    "Play",
    "RandomSteps",
    "ScenarioDocument",
    "ScenarioError",
    "Site",
    "Span",
    "Step",
    "WiresTable",
    "load_scenario",
    "simulated_miners",
]
