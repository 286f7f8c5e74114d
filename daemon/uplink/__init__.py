"""The way of the ledger's records to the exchange, and of its receipts back.

The HTTP client is httpx2: it speaks to an ASGI application in the same process as it does over a socket, so
the uplink runs whole in virtual time.
"""

from daemon.uplink.uplink import Uplink

__all__ = ["Uplink"]
