"""One machine for each file of tests: they run in their order, and each leaves the service as it found it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.service.installed_site import InstalledSite, installed_site


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[InstalledSite]:
    """A booted machine; nothing is installed yet."""
    async with installed_site(tmp_path_factory.mktemp("site")) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(site: InstalledSite) -> InstalledSite:
    """The service installed, enabled, holding a quota, and at rest."""
    await site.install_previous()
    await site.serve()
    await site.steady(site.quota_w)
    return site
