"""The broker that comes with pip."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import aiomqtt
import pytest

from sim_devices.broker import EmbeddedBroker


def children() -> set[str]:
    lists = Path("/proc/self/task").glob("*/children")
    return {child for each in lists for child in each.read_text(encoding="ascii").split()}


def entries(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def hears(url: str, protocol: aiomqtt.ProtocolVersion) -> bytes:
    port = urlsplit(url).port or 0
    async with (
        aiomqtt.Client("127.0.0.1", port, protocol=protocol) as listener,
        aiomqtt.Client("127.0.0.1", port, protocol=protocol) as speaker,
    ):
        await listener.subscribe("a/b", qos=1)
        await speaker.publish("a/b", b"hello", qos=1)
        async with asyncio.timeout(5):
            return bytes((await anext(listener.messages)).payload)


async def test_it_speaks_both_versions() -> None:
    async with EmbeddedBroker() as broker:
        assert await hears(broker.url_v311, aiomqtt.ProtocolVersion.V311) == b"hello"
        assert await hears(broker.url_v5, aiomqtt.ProtocolVersion.V5) == b"hello"


async def test_it_leaves_no_child_no_port_and_no_file_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = children()
    async with EmbeddedBroker() as broker:
        port = urlsplit(broker.url_v5).port
        assert children() > before
    assert children() == before
    assert entries(tmp_path) == []
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_port_in_use_is_said() -> None:
    async with EmbeddedBroker() as first:
        v311, v5 = (urlsplit(url).port or 0 for url in (first.url_v311, first.url_v5))
        with pytest.raises(OSError, match="in use"):
            EmbeddedBroker(v311_port=v311, v5_port=v5).start()
