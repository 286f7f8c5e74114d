"""What the devices' addresses must say together."""

from daemon.config.devices import Hall, Named
from daemon.config.models import ModbusTable
from daemon.config.problems import Problems
from drivers.address import ModbusRtuAddress, ModbusTlsAddress


def check_without_tls(hall: Hall, file: str, problems: Problems) -> None:
    """No device may be reached over TLS if nobody says which certificates count."""
    for device in hall.named:
        if isinstance(device.address, ModbusTlsAddress):
            what = f"is missing, and {device.id} is reached over modbuss://"
            problems.add(file, "modbus.tls", what, ModbusTable.model_fields["tls"].description or "")
            return


def check_serial_lines(hall: Hall, problems: Problems) -> None:
    """A serial line is as fast for one of its units as for the others."""
    first: dict[str, tuple[Named, ModbusRtuAddress]] = {}
    for device in hall.named:
        if isinstance(device.address, ModbusRtuAddress):
            earlier, address = first.setdefault(device.address.path, (device, device.address))
            if _settings(address) != _settings(device.address):
                what = f"sets {address.path} otherwise than {earlier.entry.label} of {earlier.entry.file}"
                device.add(problems, "address", what, f"write {_settings(address)} here too")


def _settings(address: ModbusRtuAddress) -> str:
    return f"baud={address.baud}&parity={address.parity}&stop={address.stop_bits}"
