"""The plant without any I/O: what its devices do, and the truth about them."""

from sim_devices.physics.behaviour import Behaviour
from sim_devices.physics.cooling import DESIGN_C, Cooling, Weather
from sim_devices.physics.load import Load
from sim_devices.physics.loads import Loads, LoadSpec
from sim_devices.physics.meter import Meter
from sim_devices.physics.model import PlantModel
from sim_devices.physics.pdu import Pdu, Pdus, PduSpec
from sim_devices.physics.reversions import Reversions

__all__ = [
    "DESIGN_C",
    "Behaviour",
    "Cooling",
    "Load",
    "LoadSpec",
    "Loads",
    "Meter",
    "Pdu",
    "PduSpec",
    "Pdus",
    "PlantModel",
    "Reversions",
    "Weather",
]
