"""Hosts, ports and URLs as the configuration writes them."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from pydantic_core import PydanticCustomError

MQTT_PORTS = {"mqtts": 8883, "mqtt": 1883}
HTTP_PORTS = {"https": 443, "http": 80}


def mistake(what: str, right: str) -> PydanticCustomError:
    """An error whose line says `what; right`, instead of the field's description."""
    return PydanticCustomError("mistake", "{what}; {right}", {"what": what, "right": right})


def is_loopback(host: str) -> bool:
    """Whether a host name or address never leaves this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def split_url(text: str, ports: dict[str, int]) -> tuple[SplitResult, int]:
    """The parts and the port of a URL with one of the schemes in `ports`, which gives their defaults."""
    example = f"{next(iter(ports))}://HOST:PORT"
    try:
        url = urlsplit(text)
        port = url.port or ports.get(url.scheme, 0)
    except ValueError as error:
        raise mistake(f"is {text!r}, no URL: {error}", f"write {example}") from error
    if url.scheme not in ports:
        raise mistake(f"is {text!r}", f"begin with {' or '.join(f'{scheme}://' for scheme in ports)}")
    if not url.hostname:
        raise mistake(f"is {text!r}, without a host", f"write {example}")
    if url.username is not None or url.password is not None:
        raise mistake("has credentials in the URL", "put them into keys and files of their own")
    if url.query or url.fragment:
        raise mistake(f"is {text!r}, with a query or fragment", "end after the path")
    return url, port


def split_listen(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT` or `[IPV6]:PORT`."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})", text, re.ASCII)
    if match is None or not 1 <= int(match[3]) <= 65_535:
        raise mistake(f"is {text!r}", "write HOST:PORT, such as 127.0.0.1:8480")
    return match[1] or match[2], int(match[3])
