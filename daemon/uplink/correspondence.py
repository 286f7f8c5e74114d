"""Asking the exchange, and believing what can be believed."""

from collections.abc import Mapping

import structlog

from daemon.clock import Clock
from daemon.ledger import Ledger
from daemon.signing import PublicKey
from daemon.uplink.alarms import UplinkAlarm, UplinkAlarms
from daemon.uplink.answers import Later, Taken, Unauthorized, Verdict, judge
from daemon.uplink.client import ExchangeClient
from daemon.uplink.delivery import Delivery
from daemon.uplink.heads import ExchangeHead, read_head
from daemon.uplink.receipts import read_receipt
from daemon.uplink.steps import Wait

_log = structlog.get_logger(__name__)


class Correspondence:
    """Deliveries, heads and receipts. What is wrong with an answer becomes an alarm."""

    def __init__(
        self,
        ledger: Ledger,
        client: ExchangeClient,
        receipt_keys: Mapping[str, PublicKey],
        clock: Clock,
        alarms: UplinkAlarms,
    ) -> None:
        """Ask through `client`; receipts count by `receipt_keys`, heads by the site's own."""
        self._ledger = ledger
        self._client = client
        self._receipt_keys = receipt_keys
        self._clock = clock
        self._alarms = alarms

    async def put(self, delivery: Delivery) -> Verdict:
        """Deliver records.

        Raises:
            UnreachableError: no answer.
        """
        return judge(await self._client.put(delivery), self._clock.wall())

    async def head(self, epoch: int | None) -> ExchangeHead | Wait:
        """Where the exchange stands, in one epoch or in its newest.

        Raises:
            UnreachableError: no answer.
            StoreError: the disk refused.
        """
        answer = await self._client.head(epoch)
        if answer.status == 200:
            theirs = read_head(answer.body, self._ledger.site, self._ledger.keys)
            if theirs is not None:
                if theirs.kid == self._ledger.keys[0].kid:
                    await self._ledger.exchange_knows_key()
                return theirs
        verdict = judge(answer, self._clock.wall())
        if isinstance(verdict, Unauthorized):
            return self.unauthorized(verdict)
        if isinstance(verdict, Later):
            return self.later(verdict)
        text = f"the exchange's head cannot be read (status {answer.status})"
        self._alarms.sound(UplinkAlarm.UNEXPECTED, text)
        return Wait()

    async def store_receipt(self, taken: Taken, delivery: Delivery) -> None:
        """Retire what an answer acknowledges.

        Raises:
            ReceiptError: nothing of ours.
            StoreError: the disk refused.
        """
        receipt = read_receipt(
            taken.body,
            taken.content_type,
            site=self._ledger.site,
            epoch=delivery.epoch,
            last=delivery.last,
            keys=self._receipt_keys,
        )
        receipt.check_hash(await self._ledger.hash_of(receipt.epoch, receipt.through_seq))
        await self._ledger.store_receipt(receipt.epoch, receipt.through_seq, receipt.jws)
        _log.debug("receipt", epoch=receipt.epoch, through_seq=receipt.through_seq)
        self._alarms.receipted()

    def unauthorized(self, answer: Unauthorized) -> Wait:
        """The exchange does not know us."""
        self._alarms.sound(
            UplinkAlarm.UNAUTHORIZED,
            f"the exchange does not accept this site's key {self._ledger.known_key.kid}: {answer.text}; "
            "is the key registered, the audience right and the clock set?",
        )
        return Wait(answer.retry_after_s)

    def later(self, answer: Later) -> Wait:
        """The exchange has decided nothing."""
        alarm = UplinkAlarm.UNREACHABLE if answer.expected else UplinkAlarm.UNEXPECTED
        self._alarms.sound(alarm, f"the exchange takes no records now: {answer.text}")
        return Wait(answer.retry_after_s)
