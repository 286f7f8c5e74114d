"""The plant without any I/O: what its devices do, and the truth about them."""

from sim_devices.physics.cooling import Cooling
from sim_devices.physics.load import Behaviour, Load
from sim_devices.physics.meter import Meter
from sim_devices.physics.model import PlantModel
from sim_devices.physics.pdu import Pdu

__all__ = ["Behaviour", "Cooling", "Load", "Meter", "Pdu", "PlantModel"]
