"""Is what is stored what was signed? While it is not, nothing is added to it."""

from collections.abc import Callable, Sequence

import structlog

from daemon.errors import LedgerDamagedError
from daemon.ledger.integrity import TAIL_AGAIN, Audit, Layout, check_tail, known_damage, remember_damage
from daemon.ledger.tables import EpochState, read_epochs
from daemon.signing import PublicKey
from daemon.store import Store, Transaction

_log = structlog.get_logger(__name__)


class Guard:
    """Looks at the ledger at a start, after the disk has failed, and bit by bit in between."""

    def __init__(self, store: Store, site: str, keys: Callable[[], Sequence[PublicKey]]) -> None:
        """`keys` = the site's keys that may have signed a record."""
        self._store = store
        self._site = site
        self._keys = keys
        self._reopened = store.reopened
        self._audit = Audit()
        self.damage: str | None = None
        """Which record is not what was signed, if one is."""

    async def inspect(self, newest: EpochState) -> Layout | None:
        """Look at what an earlier run left; what its newest epoch says, `None` if it is damaged.

        Raises:
            StoreError: it cannot be read or written.
        """
        known = await known_damage(self._store)
        if known is not None:
            self.damage = known.text
            return None
        try:
            return await check_tail(self._store, newest, self._site, self._keys())
        except LedgerDamagedError as error:
            await self._freeze(str(error))
            return None

    async def audit(self, epochs: Sequence[EpochState]) -> bool:
        """Verify the next records of the whole ledger, some milliseconds' worth; `False` if it is through.

        Raises:
            StoreError: it cannot be read.
        """
        if self.damage is not None:
            return False
        try:
            return await self._audit.step(self._store, epochs, self._site, self._keys())
        except LedgerDamagedError as error:
            await self._freeze(str(error))
            return False

    async def look_again(self, tx: Transaction) -> None:
        """Before records are appended: is what was committed still there? Asked after the disk has failed.

        Raises:
            LedgerDamagedError: the tail is not what was signed; nothing is appended now.
        """
        reopened = self._store.reopened
        if reopened != self._reopened:
            epochs = await read_epochs(tx)
            if epochs and self.damage is None:
                try:
                    await check_tail(tx, epochs[-1], self._site, self._keys(), TAIL_AGAIN)
                except LedgerDamagedError as error:
                    self.damage = str(error)
                    raise
            self._reopened = reopened
        if self.damage is not None:
            await remember_damage(tx, self.damage)

    async def _freeze(self, text: str) -> None:
        """What memory forgets at a restart the file remembers."""
        self.damage = text
        _log.error("the ledger is damaged and is not extended; curtailment goes on", damage=text)
        async with self._store.transaction() as tx:
            await remember_damage(tx, text)
