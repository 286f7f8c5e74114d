"""A device's registers, served from its profile: the map that the driver reads is the one that is shown."""

import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType

from drivers.modbus.codec import decode_words, encode_raw, encode_text, encode_value, factor_of
from drivers.profile import ModbusMap, Profile, RegisterCommand, RegisterPoint
from drivers.quantity import Quantity
from sim_devices.faults import DeviceFaults
from sim_devices.instruments import Instrument
from sim_devices.modbus.frames import ExceptionCode, ModbusRefusal, Request, registers

READ_FUNCTIONS = (3, 4)
WRITE_ONE = 6
WRITE_MANY = 16
MAX_READ = 125
MAX_WRITE = 123


class RegisterBank:
    """Answers the PDUs of one unit. Holes within the map read as 0, as in most devices.

    Args:
        profile: the register map.
        instrument: what is shown in it.
        faults: what is wrong with the unit.
        texts: what its text registers say, by name.
    """

    def __init__(
        self,
        profile: Profile,
        instrument: Instrument,
        faults: DeviceFaults,
        texts: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        if not isinstance(profile.map, ModbusMap):
            raise TypeError(f"{profile.name} is no Modbus profile")
        self.faults = faults
        self._map = profile.map
        self._points = {point.name: point for point in profile.map.points}
        self._texts = texts
        self._instrument = instrument
        command = profile.setpoint.command if profile.setpoint else None
        self._command = command if isinstance(command, RegisterCommand) else None
        self._frozen: dict[str, tuple[int, ...]] = {}
        self._writable: Mapping[int, tuple[RegisterPoint, Callable[[tuple[int, ...]], bool]]] = {
            **{point.address: (point, self._value_writer(point)) for point in profile.map.points},
            **(
                {self._command.point.address: (self._command.point, self._write_setpoint)}
                if self._command
                else {}
            ),
        }

    def answer(self, request: Request) -> bytes:
        """The PDU that answers the request.

        Raises:
            ModbusRefusal: the answer is an exception.
        """
        if self.faults.exception is not None:
            raise ModbusRefusal(self.faults.exception)
        if request.function in READ_FUNCTIONS:
            address, count = _unpack(">HH", request.pdu)
            return registers(request.function, self.read(request.function, address, count))
        if request.function == WRITE_ONE:
            address, word = _unpack(">HH", request.pdu)
            self.write(address, (word,))
            return request.pdu
        if request.function == WRITE_MANY:
            return self._write_many(request.pdu)
        raise ModbusRefusal(ExceptionCode.ILLEGAL_FUNCTION)

    def read(self, function: int, address: int, count: int) -> tuple[int, ...]:
        """The words of a span of registers.

        Raises:
            ModbusRefusal: too many registers, outside the map, or across a barrier.
        """
        if not 1 <= count <= MAX_READ:
            raise ModbusRefusal(ExceptionCode.ILLEGAL_VALUE)
        points = [point for point in self._map.points if point.function == function]
        texts = [text for text in self._map.texts if text.function == function]
        spans = [(point.address, _end(point)) for point in points]
        spans += [(text.address, text.address + text.words) for text in texts]
        if not spans:
            raise ModbusRefusal(ExceptionCode.ILLEGAL_FUNCTION)
        end, rules = address + count, self._map.reads
        if address % rules.start_multiple or count % rules.length_multiple or count > rules.max_span:
            raise ModbusRefusal(ExceptionCode.ILLEGAL_VALUE)
        # Whoever must read in multiples reads a little more than there is.
        first = min(start for start, _ in spans) - rules.start_multiple + 1
        last = max(stop for _, stop in spans) + rules.length_multiple - 1
        if address < first or end > last:
            raise ModbusRefusal(ExceptionCode.ILLEGAL_ADDRESS)
        if any(address < barrier < end for barrier in rules.barriers):
            raise ModbusRefusal(ExceptionCode.ILLEGAL_ADDRESS)
        shown = [(point.address, self._words(point)) for point in points if _meets(point, address, end)]
        shown += [(text.address, encode_text(text, self._texts.get(text.name, ""))) for text in texts]
        words = [0] * count
        for start, held in shown:
            for place, word in enumerate(held, start=start - address):
                if 0 <= place < count:
                    words[place] = word
        return tuple(words)

    def write(self, address: int, words: tuple[int, ...]) -> None:
        """Write one whole point.

        Raises:
            ModbusRefusal: nothing there can be written, or the words are not one whole value.
        """
        if address not in self._writable:
            raise ModbusRefusal(ExceptionCode.ILLEGAL_ADDRESS)
        point, writer = self._writable[address]
        if len(words) != point.type.words:
            raise ModbusRefusal(ExceptionCode.ILLEGAL_VALUE)
        if not writer(words):
            raise ModbusRefusal(ExceptionCode.ILLEGAL_ADDRESS)

    def _write_many(self, pdu: bytes) -> bytes:
        if len(pdu) < 6:
            raise ModbusRefusal(ExceptionCode.ILLEGAL_VALUE)
        address, count, size = struct.unpack_from(">HHB", pdu, 1)
        if not 1 <= count <= MAX_WRITE or size != 2 * count or len(pdu) != 6 + size:
            raise ModbusRefusal(ExceptionCode.ILLEGAL_VALUE)
        self.write(address, struct.unpack_from(f">{count}H", pdu, 6))
        return pdu[:5]

    def _words(self, point: RegisterPoint) -> tuple[int, ...]:
        if not self.faults.frozen:
            self._frozen.clear()
            return self._words_now(point)
        if point.name not in self._frozen:
            self._frozen.update((each.name, self._words_now(each)) for each in self._map.points)
        return self._frozen[point.name]

    def _words_now(self, point: RegisterPoint) -> tuple[int, ...]:
        reader = self._instrument.readers.get(point.name)
        if reader is None:
            return (0,) * point.type.words
        value = reader()
        if point.name == Quantity.SETPOINT and self._command is not None:
            if value is None:
                return encode_raw(point, self._command.no_limit_value)
            if value == 0:
                return encode_raw(point, self._command.sleep_value)
        if value is not None and point.others:
            others = {name: self._shown(self._points[name]) for name in point.others}
            factor = factor_of(point, others)
            addend = 0.0 if point.plus is None else others[point.plus]
            value = None if not factor or addend is None else (value - addend) / factor
        return encode_value(point, value)

    def _shown(self, point: RegisterPoint) -> float | None:
        return decode_words(point, self._words(point))

    def _value_writer(self, point: RegisterPoint) -> Callable[[tuple[int, ...]], bool]:
        return lambda words: self._instrument.write(point.name, decode_words(point, words))

    def _write_setpoint(self, words: tuple[int, ...]) -> bool:
        command = self._command
        assert command is not None
        watts = decode_words(command.point, words)
        if words == encode_raw(command.point, command.sleep_value):
            watts = 0.0
        elif words == encode_raw(command.point, command.no_limit_value):
            watts = None
        return self._instrument.write(Quantity.SETPOINT, watts)


def _end(point: RegisterPoint) -> int:
    return point.address + point.type.words


def _meets(point: RegisterPoint, start: int, end: int) -> bool:
    return point.address < end and _end(point) > start


def _unpack(form: str, pdu: bytes) -> tuple[int, int]:
    if len(pdu) != 1 + struct.calcsize(form):
        raise ModbusRefusal(ExceptionCode.ILLEGAL_VALUE)
    first, second = struct.unpack_from(form, pdu, 1)
    return first, second
