"""The running daemon, as the commands on its own machine ask it: over its local HTTP interface."""

from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer

from daemon.config import HttpListen, load_config

TIMEOUT_S = 3.0
DEFAULT_URL = "http://127.0.0.1:8480"

UrlOption = Annotated[str, typer.Option("--url", help="The daemon's local address.")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Take the address from this site's TOML file instead.")
]


class UnreachableError(Exception):
    """No daemon answers there, or not as one."""


def local_address(url: str, config: Path | None) -> str:
    """Where the daemon listens: `url`, or what the configuration says.

    Raises:
        ConfigurationError: the configuration cannot be read.
    """
    return url if config is None else _address(load_config(config).http_listen)


def local_client(base: str, timeout_s: float = TIMEOUT_S) -> httpx2.Client:
    """A client for a daemon on this machine.

    Raises:
        httpx2.InvalidURL: that is no address.
    """
    return httpx2.Client(base_url=base, timeout=timeout_s, trust_env=False)


def ask(client: httpx2.Client, path: str, **query: int) -> dict[str, Any]:
    """A JSON object of the daemon.

    Raises:
        UnreachableError: no daemon answers, or it cannot say that now.
    """
    try:
        response = client.get(path, params=query)
        answered = response.json() if response.headers.get("content-type", "").endswith("json") else None
        if response.is_error and isinstance(answered, dict) and "title" in answered:
            raise UnreachableError(str(answered["title"]))
        response.raise_for_status()
    except (httpx2.HTTPError, ValueError) as error:
        raise UnreachableError(f"no answer from a daemon: {error}") from error
    if not isinstance(answered, dict):
        raise UnreachableError("something else than a daemon answers")
    return answered


def _address(listen: HttpListen) -> str:
    # Listening everywhere includes this machine.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen.host, listen.host)  # noqa: S104 - not bound here
    return f"http://[{host}]:{listen.port}" if ":" in host else f"http://{host}:{listen.port}"
