"""`quotawatt keys`: Ed25519 key pairs as JWK files."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.exits import Exit
from daemon.signing import KeyFileError, PrivateKey

app = typer.Typer(
    name="keys",
    help="Make key pairs.",
    no_args_is_help=True,
    add_completion=False,
    epilog="Example: quotawatt keys new site",
)


@app.callback()
def keys() -> None:
    """Make key pairs."""


@app.command("new")
def new(
    name: Annotated[Path, typer.Argument(metavar="NAME", help="Writes NAME.jwk and NAME.pub.jwk.")],
    kid: Annotated[
        str | None, typer.Option("--kid", help="The key's name; by default its RFC 7638 thumbprint.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the public key and the files as JSON.")
    ] = False,
) -> None:
    """Make an Ed25519 key pair: NAME.jwk (secret, mode 0600) and NAME.pub.jwk.

    Example: quotawatt keys new site
    """
    secret, public = Path(f"{name}.jwk"), Path(f"{name}.pub.jwk")
    try:
        key = PrivateKey.generate(kid)
    except KeyFileError as error:
        print(f"quotawatt keys new: {error}", file=sys.stderr)
        raise typer.Exit(Exit.USAGE) from error
    try:
        _write(secret, {**key.private_jwk(), "kid": key.kid}, 0o600)
        _write(public, {**key.public_jwk(), "kid": key.kid}, 0o644)
    except FileExistsError as error:
        print(f"quotawatt keys new: {error.filename} exists; a key is never overwritten", file=sys.stderr)
        raise typer.Exit(Exit.FAILED) from error
    except OSError as error:
        print(f"quotawatt keys new: {error.filename}: {error.strerror}", file=sys.stderr)
        raise typer.Exit(Exit.FAILED) from error
    if as_json:
        print(
            json.dumps(
                {"kid": key.kid, "jwk": key.public_jwk(), "private": str(secret), "public": str(public)}
            )
        )
    else:
        print(f"{secret}: secret, keep it on this machine\n{public}: public, kid {key.kid}")


def _write(path: Path, jwk: dict[str, str], mode: int) -> None:
    """A new file, with its mode from the beginning: the secret is never readable by others."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        os.fchmod(file.fileno(), mode)
        file.write(json.dumps(jwk, indent=2) + "\n")
