"""Device entries become devices: ranges, addresses, profiles, and what must fit together."""

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from daemon.config.models import ID, ID_RIGHT, DeviceTable
from daemon.config.problems import Entry, Problems, suggestion, validate
from daemon.config.ranges import RangeError, expand, has_braces
from daemon.config.settings import ConfiguredDevice, Tier
from drivers.address import (
    Address,
    ModbusRtuAddress,
    MqttAddress,
    address_problem,
    parse_address,
)
from drivers.errors import AddressError, ProfileError
from drivers.profile import Profile, Role, measuring_only
from drivers.profiles import load_profile, profile_names, read_profile
from drivers.quantity import Quantity

_PATTERNS = ("id", "address", "circuit", "fed_by")
"""The keys that may hold ranges and counters."""

_NUMBERS = re.compile(r"[0-9.]+")
_METERS = {Role.SITE_METER, Role.CHECK_METER, Role.CIRCUIT_METER}


@dataclass(frozen=True, slots=True)
class Named:
    """A device as far as it is known, however many mistakes its entry has."""

    entry: Entry
    id: str | None
    address: Address | None
    circuit: str | None
    fed_by: str | None
    profile: Profile | None
    role: Role | None

    def add(self, problems: Problems, key: str, what: str, right: str) -> None:
        """Note a mistake, once for an entry: a hall has thousands of devices with the same one."""
        if key not in self.entry.bad:
            self.entry.add(problems, (key,), what, right)


@dataclass(slots=True)
class Hall:
    """All devices of the configuration."""

    named: list[Named]
    devices: list[ConfiguredDevice]
    """Right only if no mistake was noted."""
    complete: bool
    """Whether every device is here, so that an unknown name is a mistake."""

    def roles(self) -> dict[str, Role | None]:
        """Role by device id; `None` where a mistake hides it."""
        return {device.id: device.role for device in self.named if device.id is not None}


def read_devices(entries: Sequence[Entry], folder: Path, problems: Problems, *, complete: bool) -> Hall:
    """Expand and check every entry by itself, then all of them against each other.

    `folder` is where the files of profiles are looked for.
    """
    hall = Hall([], [], complete)
    profiles = _Profiles(folder)
    for entry in entries:
        model = validate(entry, DeviceTable, problems)
        profile = profiles.of(entry, problems)
        named = _expand(entry, profile, problems)
        hall.complete = hall.complete and any(device.id is not None for device in named)
        for device in named:
            _check_device(device, problems)
        hall.named += named
        if model is not None and profile is not None and not entry.bad:
            hall.devices += [
                _configured(device, device.address, profile, model)
                for device in named
                if device.address is not None
            ]
    _check_unique(hall.named, "id", lambda device: device.id, problems)
    _check_unique(hall.named, "address", lambda device: device.address, problems)
    _check_feeds(hall, problems)
    return hall


def check_site_meter(hall: Hall, file: str, problems: Problems) -> None:
    """Exactly one device is the site meter: settlement and the control loop both stand on it."""
    meters = [device for device in hall.named if device.role is Role.SITE_METER]
    if not meters and hall.complete and all(device.role is not None for device in hall.named):
        problems.add(
            file,
            "devices",
            "has no site meter",
            'give one device the role "site-meter" or such a profile',
        )
    for extra in meters[1:]:
        what = f"is the second site meter after {meters[0].id}"
        extra.add(problems, "role", what, 'keep one "site-meter" and make the others "check-meter"')


def _expand(entry: Entry, profile: Profile | None, problems: Problems) -> list[Named]:
    fields = {key: text for key in _PATTERNS if (text := entry.get(key, str)) is not None}
    try:
        rows = expand(fields)
    except RangeError as error:
        entry.add(problems, (error.field,), error.what, error.right)
        return []
    if len(rows) > 1 and rows[0].get("id") is not None and rows[0]["id"] == rows[1].get("id"):
        what = f'is "{fields["id"]}" for {len(rows)} devices'
        entry.add(problems, ("id",), what, f'number them: "{fields["id"]}-{{n:05}}"')
        rows = rows[:1]
    role = _role(entry, profile)
    return [
        Named(
            entry=entry,
            id=row.get("id"),
            address=_address(entry, row.get("address"), profile, problems),
            circuit=row.get("circuit"),
            fed_by=row.get("fed_by"),
            profile=profile,
            role=role,
        )
        for row in rows
    ]


def _role(entry: Entry, profile: Profile | None) -> Role | None:
    if "role" in entry.raw:
        text = entry.get("role", str)
        return Role(text) if text is not None else None
    return profile.role if profile is not None else None


def _configured(device: Named, address: Address, profile: Profile, model: DeviceTable) -> ConfiguredDevice:
    writes = profile.setpoint is not None or profile.outlets is not None
    withheld = writes and not profile.may_be_written and not model.allow_unverified_writes
    return ConfiguredDevice(
        id=device.id or "",
        profile=measuring_only(profile) if withheld else profile,
        address=address,
        role=device.role or profile.role,
        circuit=device.circuit,
        tier=Tier(model.tier),
        fed_by=_outlet(device.fed_by) if device.fed_by is not None else None,
        period_s=profile.period_s if model.period_s is None else model.period_s,
        writes_withheld=withheld,
    )


class _Profiles:
    """Loads each profile once and notes what is wrong with it once for an entry."""

    def __init__(self, folder: Path) -> None:
        self._names = set(profile_names())
        self._folder = folder
        self._files: dict[str, Profile] = {}

    def of(self, entry: Entry, problems: Problems) -> Profile | None:
        name = entry.get("profile", str)
        if name is None:
            return None
        if name.endswith(".toml"):
            return self._of_file(name, entry, problems)
        if name not in self._names:
            entry.add(problems, ("profile",), f'is "{name}", no known profile', suggestion(name, self._names))
            return None
        try:
            return load_profile(name)
        except ProfileError as error:
            entry.add(problems, ("profile",), f'is "{name}", which cannot be used: {error}', "mend that file")
            return None

    def _of_file(self, name: str, entry: Entry, problems: Problems) -> Profile | None:
        try:
            if name not in self._files:
                self._files[name] = read_profile(self._folder / name)
        except ProfileError as error:
            for line in str(error).splitlines():
                entry.add(
                    problems, ("profile",), f'is "{name}", which cannot be used: {line}', "mend that file"
                )
            return None
        return self._files[name]


def _check_device(device: Named, problems: Problems) -> None:
    if device.id is not None and not ID.fullmatch(device.id):
        device.add(problems, "id", f'makes "{device.id}"', ID_RIGHT)
    profile = device.profile
    if profile is None or device.role not in _METERS:
        return
    if Quantity.POWER not in {point.quantity for point in profile.map.points}:
        what = f'is "{device.role}", but profile {profile.name} reads no power'
        device.add(problems, "role", what, "use the profile of a meter")


def _address(entry: Entry, text: str | None, profile: Profile | None, problems: Problems) -> Address | None:
    """The address of one device; `None` = not given, or a mistake, noted once for the entry."""
    if text is None or "address" in entry.bad:
        return None
    try:
        address = parse_address(text)
        problem = address_problem(profile, address) if profile is not None else None
    except AddressError as error:
        address, problem = None, str(error)
    if problem is None and address is not None:
        problem = _numbers_problem(address)
    if problem is None:
        return address
    what, _, right = problem.partition("; ")
    entry.add(problems, ("address",), what, right or "write modbus://HOST:PORT/UNIT or mqtt:TOPIC-PREFIX")
    return None


def _numbers_problem(address: Address) -> str | None:
    """A host of numbers and dots is an IPv4 address; a range that runs too far makes one that is none."""
    host = "" if isinstance(address, MqttAddress | ModbusRtuAddress) else address.host
    if not _NUMBERS.fullmatch(host):
        return None
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return f'makes host "{host}", no IPv4 address; write four numbers up to 255'
    return None


def _check_unique(
    devices: Sequence[Named], key: str, value_of: Callable[[Named], Address | str | None], problems: Problems
) -> None:
    first: dict[Address | str, Named] = {}
    for device in devices:
        value = value_of(device)
        if value is None or key in device.entry.bad:
            continue
        earlier = first.setdefault(value, device)
        if earlier is not device:
            what = f"{_shown(device, key)} is already taken by {earlier.entry.label} of {earlier.entry.file}"
            device.add(problems, key, what, f"give every device its own {key}")


def _shown(device: Named, key: str) -> str:
    """The value of a key; of a pattern, which of its devices it is."""
    text = f'"{device.entry.raw[key]}"'
    return f"{text} for {device.id}" if has_braces(text) else text


def _check_feeds(hall: Hall, problems: Problems) -> None:
    roles = hall.roles()
    profiles = {device.id: device.profile for device in hall.named if device.id is not None}
    outlets = {
        name: profile.outlets.count
        for name, profile in profiles.items()
        if profile is not None and profile.outlets is not None
    }
    pdus = [name for name, role in roles.items() if role is Role.PDU]
    for device in hall.named:
        if device.fed_by is None or "fed_by" in device.entry.bad:
            continue
        outlet = _outlet(device.fed_by)
        if outlet is None:
            device.add(problems, "fed_by", f'is "{device.fed_by}"', 'write PDU-ID/OUTLET, such as "pdu-3/7"')
        elif outlet[0] not in roles:
            if hall.complete:
                what = f'names "{outlet[0]}", no known device'
                device.add(problems, "fed_by", what, suggestion(outlet[0], pdus))
        elif roles[outlet[0]] not in {Role.PDU, None}:
            what = f'names "{outlet[0]}", which is no PDU'
            device.add(problems, "fed_by", what, 'name a device of role "pdu"')
        elif (count := outlets.get(outlet[0])) is not None and outlet[1] > count:
            what = f'is "{device.fed_by}", and {outlet[0]} has {count} outlets'
            device.add(problems, "fed_by", what, f"write an outlet from 1 to {count}")


def _outlet(text: str) -> tuple[str, int] | None:
    name, slash, number = text.rpartition("/")
    if not slash or not ID.fullmatch(name) or not number.isascii() or not number.isdecimal():
        return None
    return (name, int(number)) if 1 <= int(number) <= 999 else None


def in_circuit(hall: Hall) -> Iterator[Named]:
    """The devices that name a circuit without a mistake."""
    named = (device for device in hall.named if device.circuit is not None)
    return (device for device in named if "circuit" not in device.entry.bad)
