"""Connections whose data comes late, that are cut, or that are half-open from some moment on, by seed."""

import asyncio
import random

from sim_devices.scenario import WiresTable
from tests.world.loop import MemoryTransport


class RoughWires:
    """`loop.wires = RoughWires(...)`: what was sent in order arrives in order, if at all."""

    def __init__(self, table: WiresTable, rng: random.Random) -> None:
        self._table = table
        self._rng = rng

    def carry(self, sender: MemoryTransport, receiver: MemoryTransport, data: bytes) -> None:
        """Bring bytes to the other end: at once, later, or never."""
        if sender.vanished:
            return
        table, fate = self._table, self._rng.random()
        if fate < table.vanish_share:
            sender.vanished = receiver.vanished = True
            return
        if fate < table.vanish_share + table.cut_share:
            sender.abort()
            return
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        due_s = max(now_s, sender.due_s)
        if self._rng.random() < table.late_share:
            due_s = max(due_s, now_s + self._rng.uniform(0.0, table.late_s))
        if due_s <= now_s:
            loop.call_soon(receiver.receive, data)
        else:
            sender.due_s = due_s
            loop.call_at(due_s, receiver.receive, data)
