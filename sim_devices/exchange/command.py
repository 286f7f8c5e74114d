"""`quotawatt sim exchange`."""

import asyncio
import json
import re
import signal
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from sim_devices.exchange.encoding import ID_FORM, FormError
from sim_devices.exchange.fault_words import arm
from sim_devices.exchange.receipts import ExchangeKey
from sim_devices.exchange.server import Exchange


def exchange(
    site: Annotated[
        list[str] | None, typer.Option(help="ID=PUBLIC.jwk: a site and its first key. May be repeated.")
    ] = None,
    listen: Annotated[str, typer.Option(help="HOST:PORT; port 0 takes a free one.")] = "127.0.0.1:8470",
    db: Annotated[
        Path | None, typer.Option(help="SQLite file; without it, all is forgotten at the end.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="Private JWK to sign receipts with; without it, a new one.")
    ] = None,
    audience: Annotated[str, typer.Option(help="The aud that bearer tokens must have.")] = "exchange",
    fault: Annotated[
        list[str] | None,
        typer.Option(
            help="A fault from the beginning, WORD, WORD=VALUE or WORD=VALUE*TIMES. May be repeated."
        ),
    ] = None,
    fault_control: Annotated[  # noqa: FBT002 - an option
        bool, typer.Option("--fault-control", help="Take faults over HTTP: POST or DELETE /faults.")
    ] = False,
    tls_cert: Annotated[Path | None, typer.Option(help="PEM certificate: speak HTTPS.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key.")] = None,
    client_ca: Annotated[
        Path | None, typer.Option(help="PEM authority: ask clients for certificates of it.")
    ] = None,
) -> None:
    """Run the reference settlement endpoint until interrupted.

    Prints what a site's configuration needs: [settlement] url and keys.

    Faults: status=CODE, busy=SECONDS, drop-before-commit, drop-after-commit, delay=SECONDS, truncate,
    receipt=KIND, lose-last-day=SITE; GET /faults lists them.

    Example: quotawatt sim exchange --site lhe-01=site.pub.jwk --db exchange.db --fault busy=5*3
    """
    host, port = _address(listen)
    sites = dict(_site(text) for text in site or [])
    try:
        signing_key = ExchangeKey.generate("exchange-1") if key is None else ExchangeKey.load(key)
    except (FormError, OSError) as error:
        raise typer.BadParameter(str(error), param_hint="--key") from error
    endpoint = Exchange(
        host=host,
        port=port,
        path=db or ":memory:",
        key=signing_key,
        audience=audience,
        tls=_tls(tls_cert, tls_key, client_ca),
        fault_control=fault_control,
    )
    try:
        _arm(endpoint, fault or [])
        for name, jwk in sites.items():
            endpoint.register_site(name, jwk)
        asyncio.run(_serve(endpoint, list(sites)))
    except FormError as error:
        raise typer.BadParameter(str(error), param_hint="--site") from error
    except OSError as error:
        typer.echo(f"cannot listen at {listen}: {error.strerror}", err=True)
        raise typer.Exit(1) from error
    finally:
        endpoint.close()


def _tls(cert: Path | None, key: Path | None, client_ca: Path | None) -> ssl.SSLContext | None:
    if cert is None:
        if key is not None or client_ca is not None:
            raise typer.BadParameter("is needed with --tls-key and --client-ca", param_hint="--tls-cert")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert, key)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise typer.BadParameter(str(error), param_hint="--tls-cert") from error
    return context


def _arm(endpoint: Exchange, words: Sequence[str]) -> None:
    for text in words:
        try:
            arm(text, endpoint.faults, endpoint.book)
        except FormError as error:
            raise typer.BadParameter(str(error), param_hint="--fault") from error


async def _serve(endpoint: Exchange, sites: Sequence[str]) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await endpoint.start()
    x = endpoint.public_jwk["x"]
    typer.echo("[settlement]")
    typer.echo(f'url = "{endpoint.url}"')
    typer.echo(f'keys = [{{ kid = "{endpoint.kid}", jwk = {{ kty = "OKP", crv = "Ed25519", x = "{x}" }} }}]')
    typer.echo(f"# sites: {', '.join(sites) or 'those of the database'}; Ctrl-C ends it")
    await stopped.wait()
    await endpoint.stop()


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise typer.BadParameter(f"{listen!r} is not HOST:PORT", param_hint="--listen")
    return host, int(port)


def _site(text: str) -> tuple[str, Mapping[str, Any]]:
    name, _, file = text.partition("=")
    if not re.fullmatch(ID_FORM, name, re.ASCII) or not file:
        raise typer.BadParameter(f"{text!r} is not ID=PUBLIC.jwk", param_hint="--site")
    try:
        jwk = json.loads(Path(file).read_bytes())
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{file}: {error}", param_hint="--site") from error
    if not isinstance(jwk, dict):
        raise typer.BadParameter(f"{file} is not a JWK", param_hint="--site")
    return name, jwk
