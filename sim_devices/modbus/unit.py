"""One unit of a Modbus address: what it shows, and what it takes."""

import struct

from drivers.modbus.codec import decode_words, encode_raw
from drivers.quantity import Quantity
from sim_devices.faults import DeviceFaults
from sim_devices.modbus.frames import ExceptionCode, ModbusRefusal, Request
from sim_devices.modbus.image import LIMITS, READ_FUNCTIONS, Image

WRITE_ONE = 6
WRITE_MANY = 16
MAX_WRITE = 123


class Unit:
    """A device as a row of the image of its kind.

    Args:
        image: the registers of all devices of its kind.
        row: its own.
        faults: what is wrong with it.
    """

    __slots__ = ("_frozen", "faults", "image", "row")

    def __init__(self, image: Image, row: int, faults: DeviceFaults) -> None:
        self.image = image
        self.row = row
        self.faults = faults
        self._frozen: bytearray | None = None

    def answer(self, request: Request) -> bytes:
        """The PDU that answers the request.

        Raises:
            ModbusRefusal: the answer is an exception.
        """
        if self.faults.exception is not None:
            raise ModbusRefusal(self.faults.exception)
        function = request.function
        if function in READ_FUNCTIONS:
            start, stop = self.span(request)
            return bytes((function, stop - start)) + self.shown()[start:stop]
        if function not in {WRITE_ONE, WRITE_MANY}:
            raise ModbusRefusal(ExceptionCode.ILLEGAL_FUNCTION)
        if self.faults.refuse_writes is not None:
            raise ModbusRefusal(self.faults.refuse_writes)
        if function == WRITE_MANY:
            return self._write_many(request.pdu)
        address, word = _unpack(request.pdu)
        self.write(address, (word,))
        return request.pdu

    def span(self, request: Request) -> tuple[int, int]:
        """Where what a read asks for begins and ends in a row, bytes.

        Raises:
            ModbusRefusal: it cannot be read.
        """
        return self.image.span(request.function, *_unpack(request.pdu))

    def shown(self) -> bytearray:
        """Its registers, with everything that is wrong with them."""
        faults = self.faults
        if not faults.frozen:
            self._frozen = None
            row = self.image.row(self.row)
        else:
            if self._frozen is None:
                self._frozen = self.image.row(self.row)
            row = self._frozen[:]
        if faults.unavailable:
            for place, raw in self.image.absences():
                row[place : place + len(raw)] = raw
        if faults.readback is not None and (found := self.image.setpoint(faults.readback.watts)) is not None:
            place, raw = found
            row[place : place + len(raw)] = raw
        return row

    def write(self, address: int, words: tuple[int, ...]) -> None:
        """Write one whole point.

        Raises:
            ModbusRefusal: nothing there can be written, or the words are not one whole value.
        """
        command = self.image.command
        if command is not None and address == command.point.address:
            point, name = command.point, str(Quantity.SETPOINT)
        elif (found := self.image.starts.get(address)) is not None:
            point, name = found, found.name
        else:
            raise ModbusRefusal(ExceptionCode.ILLEGAL_ADDRESS)
        if len(words) != point.type.words:
            raise ModbusRefusal(ExceptionCode.ILLEGAL_VALUE)
        value = decode_words(point, words)
        if command is not None and name in LIMITS:
            if words == encode_raw(point, command.sleep_value):
                value = 0.0
            elif words == encode_raw(point, command.no_limit_value):
                value = None
        if not self.image.instrument.write(self.row, name, value):
            raise ModbusRefusal(ExceptionCode.ILLEGAL_ADDRESS)
        self.image.refresh_row(self.row, name)

    def _write_many(self, pdu: bytes) -> bytes:
        if len(pdu) < 6:
            raise ModbusRefusal(ExceptionCode.ILLEGAL_VALUE)
        address, count, size = struct.unpack_from(">HHB", pdu, 1)
        if not 1 <= count <= MAX_WRITE or size != 2 * count or len(pdu) != 6 + size:
            raise ModbusRefusal(ExceptionCode.ILLEGAL_VALUE)
        self.write(address, struct.unpack_from(f">{count}H", pdu, 6))
        return pdu[:5]


def _unpack(pdu: bytes) -> tuple[int, int]:
    if len(pdu) != 5:
        raise ModbusRefusal(ExceptionCode.ILLEGAL_VALUE)
    first, second = struct.unpack_from(">HH", pdu, 1)
    return first, second
