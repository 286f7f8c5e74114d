"""Whether two devices are the same to whoever asks them."""

from drivers.device import Device
from drivers.profile import Profile


class Sameness:
    """Compares profiles once, however many devices share them: a file that is read again makes them anew."""

    def __init__(self) -> None:
        self._compared: dict[tuple[int, int], tuple[bool, Profile, Profile]] = {}
        """By identity; the profiles are held, so that none of them is another one later."""

    def profiles(self, one: Profile, other: Profile) -> bool:
        """Whether they say the same."""
        if one is other:
            return True
        pair = id(one), id(other)
        if pair not in self._compared:
            self._compared[pair] = (one == other, one, other)
        return self._compared[pair][0]

    def devices(self, one: Device, other: Device) -> bool:
        """Whether they are the same device, at the same place, asked the same as often."""
        return one is other or (
            (one.id, one.address, one.period_s) == (other.id, other.address, other.period_s)
            and self.profiles(one.profile, other.profile)
        )
