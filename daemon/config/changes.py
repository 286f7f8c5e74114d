"""What of a changed configuration a running daemon can go by."""

from daemon.config.settings import Config
from drivers.profile import Role

_SETTLED = {Role.SITE_METER, Role.CIRCUIT_METER}
_CURE = "restart the service for that (set-points are kept), or take it back"


def needs_restart(old: Config, new: Config) -> list[str]:
    """Why a running daemon cannot go by the new configuration, a line each; none = it can.

    Limits, control, prices, trusted keys, circuits and devices can change; what is settled cannot.
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
    }
    lines = [f"{key}: has changed" for key, (before, after) in fixed.items() if before != after]
    before, after = _settled(old), _settled(new)
    if before != after:
        names = ", ".join(sorted(before ^ after))
        lines.append(f"devices: the meters that are settled by have changed ({names})")
    return [f"{new.path}: {line}; {_CURE}" for line in lines]


def _settled(config: Config) -> set[str]:
    """Ids of the meters whose energy goes into the ledger."""
    return {device.id for device in config.devices if device.role in _SETTLED}
