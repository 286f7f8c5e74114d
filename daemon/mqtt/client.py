"""The MQTT client behind the connection: aiomqtt's, made to cost less for every message."""

import asyncio
import socket
from typing import Any

import aiomqtt
import paho.mqtt.client as paho
from paho.mqtt.client import MQTTMessage

from daemon.mqtt.piecewise import PiecewiseSocket, taker
from daemon.mqtt.wire import Heard


class ClosedError(aiomqtt.MqttError):
    """The broker closed the connection instead of answering."""


class Client(aiomqtt.Client):
    """Hands messages on as they come, and notices a connection that is closed before CONNACK.

    aiomqtt 2.5 would queue messages, at 60 µs and more for each, and wait its whole time-out.
    """

    def __init__(self, deliver: Heard, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deliver = deliver

    async def ended(self) -> None:
        """Wait for the end of the connection.

        Raises:
            MqttError: how it ended.
        """
        await asyncio.shield(self._disconnected)
        raise ClosedError("the connection ended")

    def _on_message(self, _client: object, _userdata: object, message: MQTTMessage) -> None:
        self._deliver(message._topic, bytes(message.payload), message.retain)  # noqa: SLF001  as it came

    def _on_disconnect(self, *args: Any, **kwargs: Any) -> None:
        if not self._connected.done():
            self._connected.set_exception(ClosedError("the broker closed the connection"))
        super()._on_disconnect(*args, **kwargs)

    def _on_socket_open(self, client: paho.Client, userdata: object, sock: Any) -> None:
        # An answer of two small packets must not wait 40 ms for the acknowledgement of the first.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super()._on_socket_open(client, userdata, sock)
        take = taker(self._deliver, has_properties=client.protocol == paho.MQTTv5)
        client._sock = PiecewiseSocket(sock, take)  # noqa: SLF001  paho has no other way in
