"""pymodbus as its users use it: a client and a task per device. Registers are not decoded."""

import asyncio
from dataclasses import dataclass, field

from pymodbus.client import AsyncModbusTcpClient

from benchmarks.poll.clients.process import Window, main, most_memory_mb, process_age_s
from benchmarks.poll.load import REGISTERS, Load, Outcome

MOST_CONNECTING = 500


@dataclass(slots=True)
class Tally:
    """What the tasks have done."""

    polls: int = 0
    missed: int = 0
    over: bool = False
    """The tasks end by themselves: pymodbus takes the cancellation of a poll for a lost answer."""
    silent: set[int] = field(default_factory=set)
    """Those that have not answered yet."""
    full: asyncio.Event = field(default_factory=asyncio.Event)


async def poll_all(load: Load, port: int) -> Outcome:
    """Poll with a task per device."""
    if load.gateways:
        raise ValueError("pymodbus is measured with a connection per device")
    clients = await _connect_all(load, port)
    tally, epoch = Tally(silent=set(range(len(clients)))), asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as group:
        for index, client in enumerate(clients):
            if load.period_s is None:
                work = _poll_on(client, index, tally)
            else:
                phase = load.period_s * index / len(clients)
                work = _poll_paced(client, index, tally, epoch + phase, load.period_s)
            group.create_task(work)
        await tally.full.wait()
        first_full_s = process_age_s()
        await asyncio.sleep(load.warmup_s)
        polls, missed, window = tally.polls, tally.missed, Window()
        await asyncio.sleep(load.seconds)
        window.close()
        polls, missed = tally.polls - polls, tally.missed - missed
        tally.over = True
    return Outcome(
        polls=polls,
        cpu_s=window.cpu_s,
        wall_s=window.wall_s,
        waited_s=window.waited_s,
        missed=missed,
        rss_mb=most_memory_mb(),
        first_full_s=first_full_s,
    )


async def _connect_all(load: Load, port: int) -> list[AsyncModbusTcpClient]:
    clients = [
        AsyncModbusTcpClient(load.host(index), port=port, timeout=3, retries=0)
        for index in range(load.connections)
    ]
    turn = asyncio.Semaphore(MOST_CONNECTING)

    async def connect(client: AsyncModbusTcpClient) -> bool:
        async with turn:
            return await client.connect()

    if not all(await asyncio.gather(*map(connect, clients))):
        raise RuntimeError("not all could connect")
    return clients


async def _poll(client: AsyncModbusTcpClient, index: int, tally: Tally) -> None:
    answer = await client.read_holding_registers(0, count=REGISTERS, device_id=1)
    if answer.isError() or len(answer.registers) != REGISTERS:
        raise RuntimeError(f"device {index}: {answer}")
    tally.polls += 1
    if tally.silent:
        tally.silent.discard(index)
        if not tally.silent:
            tally.full.set()


async def _poll_on(client: AsyncModbusTcpClient, index: int, tally: Tally) -> None:
    while not tally.over:
        await _poll(client, index, tally)


async def _poll_paced(
    client: AsyncModbusTcpClient, index: int, tally: Tally, due: float, period_s: float
) -> None:
    loop = asyncio.get_running_loop()
    while not tally.over:
        await asyncio.sleep(max(due - loop.time(), 0.0))
        await _poll(client, index, tally)
        due += period_s
        while due + period_s < loop.time():
            due += period_s
            tally.missed += 1


if __name__ == "__main__":
    main(poll_all)
