"""What can be made to go wrong with a simulated device."""

from enum import StrEnum

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


class DeviceFaults:
    """The faults of one device. Set an attribute, and set it back; they can be combined."""

    def __init__(self, device_id: str, model: PlantModel) -> None:
        self._id = device_id
        self._model = model
        self.latency_s = 0.0
        """Every answer or message comes so much later; an order is taken when it arrives."""
        self.silent = False
        """As if its network cable were cut: no request, order or message gets through."""
        self.refuse = False
        """Nobody listens at its address; open connections are cut. On MQTT as `silent`."""
        self.exception: int | None = None
        """Answers every request with this Modbus exception code."""
        self.frozen = False
        """Goes on showing the values of the first answer after this was set."""
        self.answer: AnswerFault | None = None
        """Answers wrongly."""

    @property
    def disobey(self) -> bool:
        """Whether it answers OK to orders and does not carry them out."""
        return self._model.loads[self._id].disobeys

    @disobey.setter
    def disobey(self, value: bool) -> None:
        self._model.set_disobeys(self._id, value)

    def reboot(self) -> None:
        """Restart the device: it forgets its set-point and wakes at full power."""
        self._model.reboot(self._id)

    def clear(self) -> None:
        """Mend everything, except disobedience: that is a property of the unit."""
        self.latency_s = 0.0
        self.silent = self.refuse = self.frozen = False
        self.exception = None
        self.answer = None
