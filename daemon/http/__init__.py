"""The local HTTP interface: what the site says of itself, and signed commands."""

from daemon.http.app import create_app
from daemon.http.metrics import Metrics
from daemon.http.server import HttpServer
from daemon.http.view import CommandOutcome, Health, SiteView

__all__ = ["CommandOutcome", "Health", "HttpServer", "Metrics", "SiteView", "create_app"]
