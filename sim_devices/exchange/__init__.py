"""The reference settlement endpoint: the exchange's side of the interval ledger, for tests and demo.

It shares no code with the daemon, so that what the two agree on is the contract.
"""

from sim_devices.exchange.app import create_app
from sim_devices.exchange.book import Book
from sim_devices.exchange.faults import Faults, WrongReceipt
from sim_devices.exchange.receipts import ExchangeKey
from sim_devices.exchange.server import Exchange

__all__ = ["Book", "Exchange", "ExchangeKey", "Faults", "WrongReceipt", "create_app"]
