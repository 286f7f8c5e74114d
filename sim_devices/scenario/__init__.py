"""Scenario files: what goes wrong at a simulated site, and when (docs/simulated-site.md)."""

from sim_devices.scenario.document import PlantTable, ScenarioDocument, ScenarioError, simulated_miners
from sim_devices.scenario.play import Play, Site
from sim_devices.scenario.reading import load_scenario

__all__ = [
    "PlantTable",
    "Play",
    "ScenarioDocument",
    "ScenarioError",
    "Site",
    "load_scenario",
    "simulated_miners",
]
