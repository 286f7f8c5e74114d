"""The reference exchange over a real socket, in this process and as a command."""

import asyncio
import json
import re
import sys
from pathlib import Path

import httpx2
import pytest

from sim_devices.exchange import Exchange
from tests.world.settling_site import SettlingSite, receipt_of


@pytest.fixture
def site() -> SettlingSite:
    site = SettlingSite()
    site.open()
    site.fill(20)
    return site


def at(request: httpx2.Request, url: str) -> httpx2.Request:
    """The request, sent to where the exchange listens."""
    base = httpx2.URL(url)
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=base.host, port=base.port),
        headers={name: value for name, value in request.headers.items() if name != "host"},
        content=request.content,
    )


async def test_a_site_settles_through_an_outage_and_cut_connections(
    site: SettlingSite, tmp_path: Path
) -> None:
    path = tmp_path / "exchange.db"
    async with (
        Exchange(path=path, clock=lambda: float(site.now_s)) as exchange,
        httpx2.AsyncClient() as client,
    ):
        exchange.register_site(site.site, site.key.jwk, site.key.kid)
        answer = await client.send(at(site.put(1, 10, packed=True), exchange.url))
        assert answer.status_code == 201
        exchange.faults.drop_after_commit()
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.send(at(site.put(11, 15), exchange.url))
        url = exchange.url
        await exchange.stop()
        with pytest.raises(httpx2.NetworkError):
            await client.send(at(site.put(11, 15), url))
        await exchange.start()
        assert exchange.url == url
        answer = await client.send(at(site.put(11, 15), url))
        assert answer.status_code == 200
        assert receipt_of(answer, exchange.public_jwk)["through_seq"] == 15
        key = exchange.key
    async with (
        Exchange(path=path, key=key, clock=lambda: float(site.now_s)) as exchange,
        httpx2.AsyncClient() as client,
    ):
        head = await client.send(at(site.get("ledger/head"), exchange.url))
        assert head.json()["seq"] == 15


async def test_stopping_cuts_off_an_answer_that_is_late(site: SettlingSite) -> None:
    async with Exchange(clock=lambda: float(site.now_s)) as exchange, httpx2.AsyncClient() as client:
        exchange.register_site(site.site, site.key.jwk, site.key.kid)
        exchange.faults.delay(30)
        request = asyncio.create_task(client.send(at(site.put(1, 3), exchange.url)))
        async with asyncio.timeout(5):
            while exchange.book.head(site.site) is None:  # noqa: ASYNC110 – a commit rings no bell
                await asyncio.sleep(0.01)
            await exchange.stop()
            with pytest.raises(httpx2.TransportError):
                await request


async def test_faults_are_turned_on_and_off_over_http(site: SettlingSite) -> None:
    clock = lambda: float(site.now_s)  # noqa: E731
    async with Exchange(clock=clock, fault_control=True) as exchange, httpx2.AsyncClient() as client:
        exchange.register_site(site.site, site.key.jwk, site.key.kid)
        faults = f"{exchange.url}faults"
        assert (await client.post(faults, content="truncate*1")).status_code == 200
        with pytest.raises(httpx2.RemoteProtocolError, match=r"incomplete|without sending"):
            await client.send(at(site.put(1, 3), exchange.url))
        assert (await client.send(at(site.put(1, 3), exchange.url))).status_code == 200
        await client.post(faults, content="status=500 delay=0")
        assert (await client.send(at(site.put(4, 5), exchange.url))).status_code == 500
        await client.delete(faults)
        assert (await client.send(at(site.put(4, 5), exchange.url))).status_code == 201
        await client.post(faults, content="lose-last-day=lhe-01")
        assert (await client.send(at(site.put(6, 7), exchange.url))).json()["expected_seq"] == 2
        refused = await client.post(faults, content="status=teapot")
        assert (refused.status_code, "whole number" in refused.text) == (400, True)
        assert "drop-after-commit" in (await client.get(faults)).text


async def test_faults_are_nobodys_unless_they_are_asked_for(site: SettlingSite) -> None:
    async with Exchange(clock=lambda: float(site.now_s)) as exchange, httpx2.AsyncClient() as client:
        assert (await client.post(f"{exchange.url}faults", content="status=500")).status_code == 404


async def test_an_upload_too_large_is_told_so_while_it_is_sent(site: SettlingSite) -> None:
    async with Exchange(clock=lambda: float(site.now_s)) as exchange, httpx2.AsyncClient() as client:
        exchange.register_site(site.site, site.key.jwk, site.key.kid)
        answer = await client.send(at(site.put(1, 3, body=b"x" * (3 << 20)), exchange.url))
        assert answer.status_code == 413


async def test_the_command_prints_what_a_site_needs_and_ends_on_terminate(
    site: SettlingSite, tmp_path: Path
) -> None:
    public = tmp_path / "site.pub.jwk"
    public.write_text(json.dumps({**site.key.jwk, "kid": site.key.kid}))
    program = "import typer; from sim_devices.exchange.command import exchange; typer.run(exchange)"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, "--listen", "127.0.0.1:0", "--site", f"lhe-01={public}",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            printed = (await process.stdout.readuntil(b"# sites: lhe-01")).decode()
            url = re.search(r'url = "(.*)"', printed)
            assert url is not None
            async with httpx2.AsyncClient() as client:
                answer = await client.send(at(site.put(1, 3), url[1]))
            # The wall clock of the command is the machine's, to which this site's bearer is of another year.
            assert answer.status_code == 401
            assert "the future" in answer.json()["detail"] or "expired" in answer.json()["detail"]
            process.terminate()
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
