"""Modbus/TCP Security: who is let in, and what is said to who is not."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from typing import cast

import pytest

from drivers.address import ModbusTlsAddress
from drivers.device import Device
from drivers.modbus.pymodbus_line import PymodbusLine
from drivers.ports import Absence, WriteResult
from drivers.profiles import load_profile
from drivers.quantity import Quantity
from drivers.tls import TlsFiles, client_context
from tests.world.certificates import Authority
from tests.world.line_bench import Hearing, LineBench, Outcome, read, serving, values
from tests.world.modbus_peer import ScriptedPeer
from tests.world.recording_sink import RecordingSink, running


@contextlib.asynccontextmanager
async def to(server: ssl.SSLContext | None, client: ssl.SSLContext) -> AsyncIterator[LineBench]:
    """A line to such a device, not open yet."""
    peer, user = ScriptedPeer(), Hearing()
    async with serving(peer, server) as (port, far):
        line = PymodbusLine.tls("127.0.0.1", port, client, user)
        try:
            yield LineBench(line, user, peer, far)
        finally:
            line.close()


async def refusal(at: LineBench) -> str:
    """What is said of a device that does not take us."""
    try:
        await at.open()
    except OSError as error:
        return str(error)
    # What is asked at once may meet the end of the connection, and then its reason is lost.
    _, outcome = await at.hear(0.5)
    if outcome.what == "silence":
        at.line.ask(read())
        _, outcome = await at.hear(2.0)
    assert outcome.what == "closed"
    return outcome.why


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_both_ends_show_their_certificates(version: ssl.TLSVersion) -> None:
    with Authority.temporary() as authority:
        server = authority.server_context()
        server.maximum_version = version
        async with to(server, authority.client_context()) as at:
            await at.open()
            request = read(count=125)
            assert await at.ask(request, 1.0) == Outcome("answered", values(request))
            transport = at.peer.open[0].transport
            assert transport is not None
            assert transport.get_extra_info("ssl_object").version() == version.name.replace("_", ".")
            shown = transport.get_extra_info("peercert")
            assert shown["subject"] == ((("commonName", "controller"),),)


def alerting(context: ssl.SSLContext) -> tuple[int, asyncio.Task[None]]:
    """A device that says why it does not take us, as OpenSSL's blocking sockets do; for one connection."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listening:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):
                context.wrap_socket(connection, server_side=True).close()

    return listening.getsockname()[1], asyncio.create_task(asyncio.to_thread(serve))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("says_why", [True, False])
async def test_without_a_certificate_of_ours_the_device_lets_nobody_in(
    version: ssl.TLSVersion, *, says_why: bool
) -> None:
    with Authority.temporary() as authority:
        server = authority.server_context()
        server.maximum_version = version
        async with to(server, client_context(TlsFiles(authority.ca))) as at:
            if says_why:
                port, task = alerting(server)
                at.line = PymodbusLine.tls("127.0.0.1", port, client_context(TlsFiles(authority.ca)), at.user)
                said = await refusal(at)
                await task
                assert "client certificate" in said
            else:
                assert "misses our certificate, or does not accept it" in await refusal(at)
            assert not at.peer.asked


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("says_why", [True, False])
async def test_a_certificate_of_ours_that_the_device_does_not_know_is_not_let_in(
    version: ssl.TLSVersion, *, says_why: bool
) -> None:
    with Authority.temporary() as authority, Authority.temporary("other") as other:
        server = authority.server_context(trusts=other)
        server.maximum_version = version
        async with to(server, authority.client_context()) as at:
            if says_why:
                port, task = alerting(server)
                at.line = PymodbusLine.tls("127.0.0.1", port, authority.client_context(), at.user)
                said = await refusal(at)
                await task
                assert "does not know the authority that signed our certificate" in said
            else:
                assert "misses our certificate, or does not accept it" in await refusal(at)
            assert not at.peer.asked


async def test_a_device_of_another_authority_is_not_believed() -> None:
    with Authority.temporary() as authority, Authority.temporary("other") as other:
        async with to(other.server_context(trusts=authority), authority.client_context()) as at:
            assert "its certificate is not accepted: unable to get local issuer" in await refusal(at)


async def test_a_device_whose_certificate_has_expired_is_not_believed() -> None:
    with Authority.temporary() as authority:
        async with to(authority.server_context(expired=True), authority.client_context()) as at:
            assert "its certificate is not accepted: certificate has expired" in await refusal(at)


async def test_a_certificate_for_another_host_is_not_believed() -> None:
    with Authority.temporary() as authority:
        async with to(authority.server_context(host="127.0.0.2"), authority.client_context()) as at:
            assert "IP address mismatch" in await refusal(at)


async def test_what_speaks_no_tls_is_said_to_speak_none() -> None:
    with Authority.temporary() as authority:

        class Talker(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                cast("asyncio.Transport", transport).write(b"220 welcome\r\n")
                transport.close()

        server = await asyncio.get_running_loop().create_server(Talker, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        line = PymodbusLine.tls("127.0.0.1", port, authority.client_context(), Hearing())
        with pytest.raises(OSError, match="what answers there does not speak TLS"):
            async with asyncio.timeout(3):
                await line.open()
        server.close()


async def test_a_device_that_never_shakes_hands_holds_nobody() -> None:
    with Authority.temporary() as authority:
        async with to(None, authority.client_context()) as at:
            at.peer.deaf = True
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await at.line.open()
            at.line.close()
            await asyncio.sleep(0.05)
            assert at.user.opened_times == 0
            assert at.peer.open == []


async def test_a_device_that_hangs_up_after_it_has_answered_has_no_trouble_with_certificates() -> None:
    with Authority.temporary() as authority:
        async with to(authority.server_context(), authority.client_context()) as at:
            await at.open()
            assert (await at.ask(read(), 1.0)).what == "answered"
            at.far.hang_up()
            _, outcome = await at.hear(1.0)
            assert outcome.what == "closed"
            assert "certificate" not in outcome.why


async def test_trouble_with_certificates_is_said_aloud_once(caplog: pytest.LogCaptureFixture) -> None:
    with Authority.temporary() as authority:
        async with to(authority.server_context(expired=True), authority.client_context()) as at:
            with caplog.at_level(logging.DEBUG, "drivers"):
                for _ in range(3):
                    await refusal(at)
    levels = [record.levelname for record in caplog.records if "expired" in record.getMessage()]
    assert levels == ["WARNING", "DEBUG", "DEBUG"]


async def test_a_device_is_read_and_ordered_and_what_was_ordered_is_read_back() -> None:
    sink = RecordingSink()
    peer = ScriptedPeer()
    with Authority.temporary() as authority:
        async with serving(peer, authority.server_context()) as (port, _):
            peer.registers |= {(1, 0): 0, (1, 1): 3456}
            device = Device("d", load_profile("sim-miner"), ModbusTlsAddress("127.0.0.1", port, 1), 0.2)
            async with running([device], sink, tls=authority.files()) as fleet:
                await asyncio.sleep(0.6)
                fleet.order(0, 1800)
                await asyncio.sleep(0.8)
    assert sink.results() == [(1800, WriteResult.ACKNOWLEDGED)]
    last = sink.of(0)[-1].values
    assert (last[Quantity.POWER], last[Quantity.SETPOINT]) == (3456, 1800)
    assert not sink.failures or {failure.reason for failure in sink.failures} == {Absence.NOT_CONNECTED}
