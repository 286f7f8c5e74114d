"""What holds for every test."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Time is never judged: an example may take as long as the machine's other work makes it."""
    if config.pluginmanager.hasplugin("hypothesispytest"):
        from hypothesis import HealthCheck, settings  # noqa: PLC0415 - slow, and not everybody who runs tests has asked for it

        settings.register_profile(
            "untimed", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
        )
        settings.load_profile("untimed")
