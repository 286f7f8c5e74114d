"""One machine for each file of tests: they run in their order, and each leaves the service as it found it."""

from collections.abc import AsyncIterator, Generator

import pytest
import pytest_asyncio

from tests.service.installed_site import InstalledSite, installed_site

SITE = pytest.StashKey[InstalledSite]()
LAST_LINES = 120


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[InstalledSite]:
    """A booted machine; nothing is installed yet."""
    async with installed_site(tmp_path_factory.mktemp("site"), request.node.path.stem) as started:
        request.node.stash[SITE] = started
        yield started
        del request.node.stash[SITE]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(request: pytest.FixtureRequest, site: InstalledSite) -> InstalledSite:
    """The service installed, enabled, holding a quota, and at rest; `WATCHDOG_S`, if the module has one."""
    await site.install_previous()
    await site.serve(watchdog_s=getattr(request.module, "WATCHDOG_S", None))
    await site.steady(site.quota_w)
    return site


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of the machine's journal with what failed on it."""
    report = yield
    module = item.getparent(pytest.Module)
    site = None if module is None else module.stash.get(SITE, None)
    if report.failed and site is not None:
        report.sections.append(("journal of the machine", site.machine.last_words(LAST_LINES)))
    return report
