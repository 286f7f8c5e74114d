"""The local HTTP interface on a real port, and `quotawatt status` against it."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

import daemon.http.server as server_module
from daemon.http import HttpServer, Metrics, create_app
from tests.world.site_files import GOOD, write_site
from tests.world.site_view import STATE, ScriptedView

QUOTAWATT = Path(sys.executable).with_name("quotawatt")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@asynccontextmanager
async def serving(port: int) -> AsyncIterator[HttpServer]:
    server = HttpServer(create_app(ScriptedView(), Metrics().registry), "127.0.0.1", port)
    task = asyncio.create_task(server.run())
    try:
        yield server
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=8)
        assert task.cancelled()


async def quotawatt(*arguments: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        QUOTAWATT, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_status_shows_the_running_daemon(tmp_path: Path) -> None:
    port = free_port()
    config = write_site(tmp_path, GOOD + f'[http]\nlisten = "127.0.0.1:{port}"\n')
    async with serving(port) as server:
        await asyncio.wait_for(server.listening.wait(), 5)

        code, out, err = await quotawatt("status", "--url", server.url, "--json")
        assert (code, json.loads(out), err) == (0, STATE, "")

        code, out, err = await quotawatt("status", "--config", str(config))
        assert (code, err) == (0, "")
        assert "600.0 kW (quota)" in out
        assert "unknown (none)" in out
        assert "meter-stale since 2027-01-15T07:59:00Z" in out

    code, out, err = await quotawatt("status", "--config", str(config))
    assert (code, out) == (69, "")
    assert err.startswith(f"quotawatt status: http://127.0.0.1:{port}: no answer from a daemon: ")
    assert "Traceback" not in err


async def test_a_port_in_use_is_said_once_and_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_RETRY_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as other, capture_logs() as logs:
        async with serving(other.getsockname()[1]) as server:
            await asyncio.sleep(0.3)
            assert not server.listening.is_set()
            assert [entry["event"] for entry in logs] == ["http-cannot-listen"]

            other.close()
            await asyncio.wait_for(server.listening.wait(), 5)

    assert [entry["event"] for entry in logs] == ["http-cannot-listen", "http-listening"]


async def test_a_stop_does_not_wait_for_an_idle_connection() -> None:
    port = free_port()
    loop = asyncio.get_running_loop()
    async with serving(port) as server:
        await asyncio.wait_for(server.listening.wait(), 5)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        began = loop.time()
    assert loop.time() - began < 5
    writer.close()
