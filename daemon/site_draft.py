"""A changed configuration, worked out beside the running site, to be gone by in one step."""

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.commands.trust import TrustedKey
from daemon.commands.verifier import Verifier
from daemon.commands.words import Role
from daemon.config import Config, ConfiguredDevice
from daemon.config.changes import needs_restart
from daemon.cycle.layout import SiteLayout
from daemon.cycle.policy import control_policy
from daemon.cycle.regulation import ControlPolicy
from daemon.device_list import DeviceList
from daemon.errors import ConfigurationError
from daemon.signing import PublicKey
from daemon.table.carrying import Heirs
from drivers.sameness import Sameness

_BUT_PROFILE = ("address", "role", "circuit", "tier", "fed_by", "period_s")


@dataclass(frozen=True, slots=True)
class SiteDraft:
    """All that takes long: half a second for ten thousand devices, which the event loop does not have."""

    config: Config
    layout: SiteLayout
    heirs: Heirs
    """Who goes on from whom of the running site."""
    listed: DeviceList
    policy: ControlPolicy
    verifier: Verifier
    news: str
    """What becomes of the devices, in a few words."""

    @classmethod
    def of(cls, config: Config, before: Config, layout: SiteLayout) -> "SiteDraft":
        """What becomes of a site that goes by `before` and is laid out so.

        Raises:
            ConfigurationError: what has changed needs a restart.
        """
        problems = needs_restart(before, config)
        if problems:
            raise ConfigurationError(problems)
        after = SiteLayout.of(config)
        return cls(
            config=config,
            layout=after,
            heirs=after.heirs_of(layout),
            listed=DeviceList.of(config),
            policy=control_policy(config),
            verifier=verifier_of(config),
            news=_news(before.devices, config.devices),
        )


def _news(before: Sequence[ConfiguredDevice], after: Sequence[ConfiguredDevice]) -> str:
    old, new, same = {device.id: device for device in before}, {device.id for device in after}, Sameness()
    known = [(old[device.id], device) for device in after if device.id in old]
    counts = {
        "added": len(new) - len(known),
        "removed": len(old) - len(known),
        "changed": sum(
            any(getattr(one, name) != getattr(other, name) for name in _BUT_PROFILE)
            or not same.profiles(one.profile, other.profile)
            for one, other in known
        ),
    }
    told = [f"{count} {what}" for what, count in counts.items() if count]
    return f"devices: {', '.join(told)}" if told else "the devices are the same"


def verifier_of(config: Config) -> Verifier:
    """Who may say what to this site."""
    keys = [
        TrustedKey(PublicKey.from_jwk(key.kid, key.jwk), Role(key.role), key.not_before, key.not_after)
        for key in config.trust_keys
    ]
    return Verifier(config.site.id, keys)
