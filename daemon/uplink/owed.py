"""Receipts that never reached us: they are asked for before anything is told again."""

from daemon.ledger import EpochState, Ledger
from daemon.uplink.alarms import UplinkAlarm, UplinkAlarms
from daemon.uplink.answers import Later, Taken, Unauthorized
from daemon.uplink.correspondence import Correspondence
from daemon.uplink.delivery import MAX_RECORDS, pack
from daemon.uplink.receipts import ReceiptError
from daemon.uplink.steps import Outcome, Step, Wait


class OwedReceipts:
    """Only what is not receipted is told again in a new epoch, so these are collected first."""

    def __init__(self, ledger: Ledger, exchange: Correspondence, alarms: UplinkAlarms) -> None:
        self._ledger = ledger
        self._exchange = exchange
        self._alarms = alarms

    async def collect(self) -> Outcome | None:
        """Have the next one.

        Returns:
            what to do before asking again: it came, or none can be had now. `None` = there is no more.

        Raises:
            UnreachableError: no answer.
            StoreError: the disk refused.
        """
        for state in self._ledger.epochs:
            if state.acked_seq < state.sendable_seq:
                outcome = await self._collect(state)
                if outcome is not None:
                    return outcome
        return None

    async def _collect(self, state: EpochState) -> Outcome | None:
        theirs = await self._exchange.head(state.epoch)
        if isinstance(theirs, Wait):
            return theirs
        head = theirs.head
        ours = await self._ledger.hash_of(state.epoch, head.seq) == head.hash
        # Where the two sides differ the last receipt is over records of theirs, but one that ends before
        # that may be there: the exchange gives the one that ends soonest.
        count = min(head.seq - state.acked_seq, MAX_RECORDS if ours else 1)
        if count < 1:
            return None
        delivery = pack(await self._ledger.records(state.epoch, state.acked_seq + 1, count))
        if delivery is None:
            return None
        outcome: Outcome | None
        match verdict := await self._exchange.put(delivery):
            case Taken():
                try:
                    await self._exchange.store_receipt(verdict, delivery)
                    outcome = Step.ON
                except ReceiptError as error:
                    outcome = self._disbelieved(error) if ours else None
            case Unauthorized():
                outcome = self._exchange.unauthorized(verdict)
            case Later():
                outcome = self._exchange.later(verdict)
            case _:
                outcome = None
        return outcome

    def _disbelieved(self, error: ReceiptError) -> Wait:
        self._alarms.sound(UplinkAlarm.RECEIPT, f"records are not acknowledged: {error}")
        return Wait()
