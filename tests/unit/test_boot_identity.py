"""Which boot of the machine this is, also for a service that cannot see it in /proc."""

from pathlib import Path

import pytest

from daemon.clock import SystemClock


def test_it_is_the_same_whoever_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    monkeypatch.delenv("QUOTAWATT_BOOT_ID", raising=False)
    assert SystemClock().boot_id() == seen

    # As systemd's %b writes it.
    monkeypatch.setenv("QUOTAWATT_BOOT_ID", seen.replace("-", ""))
    assert SystemClock().boot_id() == seen
