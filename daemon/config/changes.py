"""What of a changed configuration a running daemon can go by."""

from dataclasses import replace

from daemon.config.settings import Circuit, Config, ConfiguredDevice

_NAMED = 3
"""Devices named in a message."""
_CURE = "restart the service for that (set-points are kept), or take it back"


def needs_restart(old: Config, new: Config) -> list[str]:
    """Why a running daemon cannot go by the new configuration, a line each; none = it can.

    Limits, control, prices, trusted keys, the circuits and which device hangs on which can change.
    """
    fixed = {
        "site.id": (old.site.id, new.site.id),
        "site.interval_s": (old.site.interval_s, new.site.interval_s),
        "site.state_dir": (old.site.state_dir, new.site.state_dir),
        "keys.site": (old.site_key_path, new.site_key_path),
        "keys.previous": (old.previous_key_path, new.previous_key_path),
        "mqtt": (old.mqtt, new.mqtt),
        "settlement": (old.settlement, new.settlement),
        "modbus.tls": (old.modbus_tls, new.modbus_tls),
        "http.listen": (old.http_listen, new.http_listen),
        "circuits.meter": (_meters(old.circuits), _meters(new.circuits)),
    }
    changed = [f"{key}: has changed" for key, (before, after) in fixed.items() if before != after]
    return [f"{new.path}: {line}; {_CURE}" for line in (*changed, *_devices(old, new))]


def _meters(circuits: tuple[Circuit, ...]) -> dict[str, str]:
    """By circuit, where it has one."""
    return {circuit.id: circuit.meter for circuit in circuits if circuit.meter is not None}


def _devices(old: Config, new: Config) -> list[str]:
    before = {device.id: _lasting(device) for device in old.devices}
    after = {device.id: _lasting(device) for device in new.devices}
    lines = []
    for what, names in (
        ("added", [name for name in after if name not in before]),
        ("removed", [name for name in before if name not in after]),
        ("changed", [name for name, device in after.items() if before.get(name, device) != device]),
    ):
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            lines.append(f"devices: {', '.join(names[:_NAMED])}{more} were {what}")
    if not lines and list(before) != list(after):
        lines.append("devices: are in another order")
    return lines


def _lasting(device: ConfiguredDevice) -> ConfiguredDevice:
    """A device but for the circuit that it hangs on."""
    return replace(device, circuit=None)
