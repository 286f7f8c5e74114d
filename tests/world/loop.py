"""An asyncio loop in virtual time: when nothing is ready, time jumps to the next timer.

Connections are made in memory between servers and clients of the same loop, so the code that talks
Modbus runs byte for byte as it does over sockets.
"""

import asyncio
import contextvars
import heapq
import selectors
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

_T = TypeVar("_T")

Factory = Callable[[], asyncio.BaseProtocol]

_RESOLUTION_S = 1e-9
"""Timers so close together are due together."""


class _NoWait(selectors.BaseSelector):
    """Selects nothing; the time that a real selector would wait passes at once."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop
        self._real = selectors.SelectSelector()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def get_map(self) -> Any:
        return self._real.get_map()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everything waits for something that never comes")
        self._loop.pass_time(timeout)
        return []

    def close(self) -> None:
        self._real.close()


class MemoryTransport(asyncio.Transport):
    """One end of a connection in memory."""

    def __init__(self, loop: "VirtualLoop", names: tuple[Any, Any]) -> None:
        super().__init__({"sockname": names[0], "peername": names[1]})
        self._loop = loop
        self._closed = False
        self.peer: MemoryTransport | None = None
        self.protocol: asyncio.BaseProtocol | None = None
        self.vanished = False
        """What is written gets nowhere any more, and nobody says so: half-open."""
        self.due_s = 0.0
        """When the last bytes arrive at the peer: none overtake others."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closed or self.peer is None:
            return
        loop = self._loop
        if loop.wires is None:
            loop.call_soon(self.peer.receive, bytes(data))
        else:
            loop.wires.carry(self, self.peer, bytes(data))

    def receive(self, data: bytes) -> None:
        protocol = self.protocol
        if self._closed or protocol is None:
            return
        if not isinstance(protocol, asyncio.BufferedProtocol):
            # As in asyncio: whether it derives from `asyncio.Protocol` is not asked.
            protocol.data_received(data)  # type: ignore[attr-defined]
            return
        while data:
            size = len(data)
            buffer = protocol.get_buffer(size)
            count = min(len(buffer), size)  # type: ignore[arg-type]  # a buffer of bytes has a length
            buffer[:count] = data[:count]  # type: ignore[index]
            protocol.buffer_updated(count)
            if count == size:
                return
            data = data[count:]

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self.protocol is not None:
            self._loop.call_soon(self.protocol.connection_lost, None)
        if self.peer is not None:
            self._loop.call_soon(self.peer.close)

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._closed

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self.protocol is not None
        return self.protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0


class _MemoryServer(asyncio.AbstractServer):
    def __init__(self, loop: "VirtualLoop", addresses: list[tuple[str, int]]) -> None:
        self._loop = loop
        self._addresses = addresses
        self.sockets = tuple(_Named(address) for address in addresses)

    def close(self) -> None:
        for address in self._addresses:
            self._loop.listeners.pop(address, None)

    async def wait_closed(self) -> None: ...

    def is_serving(self) -> bool:
        return all(address in self._loop.listeners for address in self._addresses)

    async def start_serving(self) -> None: ...

    async def serve_forever(self) -> None:
        await asyncio.Event().wait()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop


class _Named:
    """As much of a listening socket as callers ask for."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address

    def getsockname(self) -> tuple[str, int]:
        return self._address


class Wires(Protocol):
    """What lies between two ends of a connection."""

    def carry(self, sender: MemoryTransport, receiver: MemoryTransport, data: bytes) -> None:
        """Bring bytes to the other end: at once, later, or never."""


class _Call(asyncio.TimerHandle):
    """A callback that waits. Made without asyncio's questions whether anything is to be traced."""

    __slots__ = ()

    # asyncio's own, which its type stubs do not tell of.
    _callback: Callable[..., object] | None
    _args: tuple[Any, ...] | None  # type: ignore[assignment]  # it is None once it was cancelled
    _context: contextvars.Context
    _when: float
    _repr: str | None
    _source_traceback: None

    def __init__(
        self, when: float, callback: Callable[..., object], args: tuple[Any, ...], context: Any
    ) -> None:
        self._when, self._callback, self._args = when, callback, args
        self._context = contextvars.copy_context() if context is None else context
        self._cancelled = False
        self._repr = self._source_traceback = None

    def cancel(self) -> None:
        self._cancelled = True
        self._callback = self._args = None


class _Timer(float):
    """When a callback is due: compared as what it is, a number."""

    __slots__ = ("call",)

    call: _Call


class VirtualLoop(asyncio.SelectorEventLoop):
    """Deterministic: nothing in it waits for the outside."""

    # asyncio's own, which its type stubs do not tell of.
    _ready: "deque[_Call]"
    _stopping: bool
    _closed: bool
    _check_closed: Callable[[], None]

    def __init__(self, start_s: float = 1_000.0) -> None:
        self.now_s = start_s
        self._timers: list[_Timer] = []
        self.wires: Wires | None = None
        """`None` = everything arrives at once."""
        self._next_port = 40_000
        self.listeners: dict[tuple[str, int], Factory] = {}
        super().__init__(_NoWait(self))

    def time(self) -> float:
        return self.now_s

    def pass_time(self, seconds: float) -> None:
        """Let time pass; a waiting loop calls this."""
        self.now_s += seconds

    def call_soon(  # type: ignore[override]  # the stubs bind the arguments' types
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        if self._closed:
            self._check_closed()
        call = _Call(self.now_s, callback, args, context)
        self._ready.append(call)
        return call

    def call_at(  # type: ignore[override]  # as above
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        if self._closed:
            self._check_closed()
        timer = _Timer(when)
        timer.call = call = _Call(when, callback, args, context)
        heapq.heappush(self._timers, timer)
        return call

    def call_later(  # type: ignore[override]  # as above
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now_s + delay, callback, *args, context=context)

    def _run_once(self) -> None:
        """As asyncio's, again and again until it is to stop; but nothing is selected: when nothing is ready,
        it is the next timer's time."""
        ready = self._ready
        while True:
            self._come_due()
            for _ in range(len(ready)):
                call = ready.popleft()
                if call._cancelled:
                    continue
                try:
                    call._context.run(call._callback, *call._args)  # type: ignore[arg-type, misc]
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:  # noqa: BLE001  as asyncio's
                    told = {"message": f"Exception in callback {call!r}", "exception": error}
                    self.call_exception_handler(told)
            if self._stopping:
                return

    def _come_due(self) -> None:
        timers = self._timers
        while timers and timers[0].call._cancelled:
            heapq.heappop(timers)
        if not self._ready and not self._stopping:
            if not timers:
                raise RuntimeError("everything waits for something that never comes")
            self.now_s = max(self.now_s, timers[0].call._when)
        due_s = self.now_s + _RESOLUTION_S
        while timers and timers[0] < due_s:
            self._ready.append(heapq.heappop(timers).call)

    def close(self) -> None:
        self._timers.clear()
        super().close()

    def run_in_executor(self, *_args: Any) -> Any:  # type: ignore[override] # never returns
        raise RuntimeError("a thread would run in real time")

    async def create_server(  # type: ignore[override]
        self, protocol_factory: Factory, host: Any = None, port: Any = None, **_kwargs: Any
    ) -> _MemoryServer:
        hosts = [host] if isinstance(host, str) else list(host or ["127.0.0.1"])
        if not port:
            self._next_port += 1
            port = self._next_port
        addresses = [(name, port) for name in hosts]
        for address in addresses:
            if address in self.listeners:
                raise OSError(98, "address already in use")
            self.listeners[address] = protocol_factory
        return _MemoryServer(self, addresses)

    async def create_connection(  # type: ignore[override]
        self, protocol_factory: Factory, host: Any = None, port: Any = None, **_kwargs: Any
    ) -> tuple[MemoryTransport, asyncio.BaseProtocol]:
        await asyncio.sleep(0)
        listener = self.listeners.get((host, port))
        if listener is None:
            raise ConnectionRefusedError(111, f"nobody listens at {host}:{port}")
        self._next_port += 1
        names = (("127.0.0.1", self._next_port), (host, port))
        ours, theirs = MemoryTransport(self, names), MemoryTransport(self, names[::-1])
        ours.peer, theirs.peer = theirs, ours
        ours.protocol, theirs.protocol = protocol_factory(), listener()
        theirs.protocol.connection_made(theirs)
        ours.protocol.connection_made(ours)
        return ours, ours.protocol


class VirtualClock:
    """The daemon's clocks over a virtual loop; the wall clock can be set apart from it."""

    def __init__(self, loop: VirtualLoop, wall_s: float = 1_790_000_000.0) -> None:
        self._loop = loop
        self.offset_s = wall_s - loop.time()
        self.boot = "boot-1"

    def wall(self) -> float:
        return self._loop.now_s + self.offset_s

    def monotonic(self) -> float:
        return self._loop.now_s

    def boottime(self) -> float:
        return self._loop.now_s

    def boot_id(self) -> str:
        return self.boot


def run_virtual(main: Callable[[VirtualLoop], Coroutine[Any, Any, _T]]) -> _T:
    """Run a coroutine to its end in virtual time."""
    loop = VirtualLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main(loop))
