"""`quotawatt send`: sign quotas, leases and commands, send them, and verify the answer."""

import asyncio
import json
import sys
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from daemon.cli.conversation import Heard, SilenceError, TlsNames, broker, connected, converse, put
from daemon.cli.exits import Exit
from daemon.clock import SystemClock, SystemEntropy
from daemon.commands.claims import schedule_of
from daemon.commands.orders import ScheduleEntry
from daemon.commands.sender import Sender, Signed
from daemon.commands.words import Lane, Op, Role, Status
from daemon.config.settings import Mqtt
from daemon.mqtt.topics import Topics
from daemon.service import only_errors
from daemon.signing import KeyFileError, MalformedError, PrivateKey, PublicKey, loads

app = typer.Typer(
    name="send",
    help="Sign and send a quota, a lease or a command; exit 0 done, 77 rejected, 69 silence, 1 failed.",
    no_args_is_help=True,
    add_completion=False,
    epilog="Example: quotawatt send cmd ping --mqtt mqtt://localhost --site lhe-01 --key operator.jwk",
)

_T = TypeVar("_T")

MqttUrl = Annotated[str, typer.Option("--mqtt", metavar="URL", help="mqtt://host:1883 or mqtts://host:8883")]
SiteId = Annotated[str, typer.Option("--site", metavar="ID", help="Which site.")]
KeyFile = Annotated[Path, typer.Option("--key", metavar="FILE", help="The sender's private key.")]
SiteKeyFile = Annotated[
    Path | None,
    typer.Option("--site-key", metavar="FILE", help="The site's public key: with it answers are verified."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the signed message and send nothing.")]
Ca = Annotated[Path | None, typer.Option("--ca", metavar="FILE", help="Whose certificate the broker has.")]
Cert = Annotated[Path | None, typer.Option("--cert", metavar="FILE", help="Our certificate for the broker.")]
CertKey = Annotated[Path | None, typer.Option("--cert-key", metavar="FILE", help="Its private key.")]
FirstAnswer = Annotated[float, typer.Option("--timeout", metavar="S", help="Wait so long for an answer.")]


class _Desk:
    """Everything that the three commands share."""

    def __init__(
        self,
        mqtt: str,
        site: str,
        key: Path,
        site_key: Path | None,
        *,
        as_json: bool,
        dry_run: bool,
        tls: TlsNames = TlsNames(),
    ) -> None:
        only_errors()
        try:
            self.broker = broker(mqtt, tls)
            self.sender = Sender(PrivateKey.load(key), site, SystemClock(), SystemEntropy())
            self.site_key = None if site_key is None else PublicKey.load(site_key)
        except (ValueError, KeyFileError) as error:
            raise _usage(str(error)) from error
        self.topics = Topics(site)
        self.as_json = as_json
        self.dry_run = dry_run

    def deliver(self, message: Signed, lanes: list[Lane], first_s: float) -> None:
        """Send, print the last answer, and exit by it."""
        if self.dry_run:
            self.show(message)
            return
        heard, ignored = _run(self._converse(message, lanes, first_s))
        for problem in ignored:
            print(f"quotawatt send: ignored on the answer's topic: {problem}", file=sys.stderr)
        self._print(heard)
        match heard.status:
            case Status.DONE:
                return
            case Status.REJECTED:
                raise typer.Exit(Exit.NOT_PERMITTED)
            case Status.FAILED | Status.ACCEPTED:
                raise typer.Exit(Exit.FAILED)

    def show(self, message: Signed) -> None:
        """Print a message that is not sent."""
        topic = self.topics.lane(message.lane)
        print(json.dumps({"topic": topic, "jws": message.jws}) if self.as_json else message.jws)

    async def _converse(self, message: Signed, lanes: list[Lane], first_s: float) -> tuple[Heard, list[str]]:
        async with connected(self.broker) as connection:
            return await converse(
                connection, self.topics, message, site_key=self.site_key, lanes=lanes, first_s=first_s
            )

    def _print(self, heard: Heard) -> None:
        said = {name: heard.claims[name] for name in ("reason", "detail", "result") if name in heard.claims}
        if self.as_json:
            status = {"jti": heard.claims["jti"], "status": heard.status, "verified": heard.verified}
            print(json.dumps({**status, **said}))
            return
        doubt = "" if heard.verified else " (not verified: no --site-key)"
        words = ": ".join(str(said[name]) for name in ("reason", "detail") if name in said)
        print(f"{heard.status}{doubt}{': ' + words if words else ''}")
        result = said.get("result")
        if result and "uncontrolled_w" in result and "loads" in result:
            Console(width=None if sys.stdout.isatty() else 100).print(_plan_table(result))
        elif result:
            print(json.dumps(result, indent=2))


@app.command("quota")
def quota(
    rev: Annotated[int, typer.Option("--rev", help="Revision; above the one that the site holds.")],
    file: Annotated[Path, typer.Option("--file", help='JSON: [{"start", "end", "limit_w"}, …]')],
    mqtt: MqttUrl,
    site: SiteId,
    key: KeyFile,
    site_key: SiteKeyFile = None,
    ca: Ca = None,
    cert: Cert = None,
    cert_key: CertKey = None,
    as_json: AsJson = False,
    dry_run: DryRun = False,
    timeout: FirstAnswer = 10.0,
) -> None:
    """Send a quota: limits by time, kept by the broker for the site.

    Example: quotawatt send quota --rev 7 --file schedule.json --mqtt mqtt://localhost --site lhe-01
    --key dispatch.jwk --site-key site.pub.jwk
    """
    desk = _Desk(
        mqtt, site, key, site_key, as_json=as_json, dry_run=dry_run, tls=TlsNames(ca, cert, cert_key)
    )
    desk.deliver(desk.sender.quota(rev, _schedule(file)), [Lane.QUOTA], timeout)


@app.command("lease")
def lease(
    rev: Annotated[int, typer.Option("--rev", help="Revision of the quota that the site is to follow.")],
    mqtt: MqttUrl,
    site: SiteId,
    key: KeyFile,
    every: Annotated[
        str | None,
        typer.Option("--every", metavar="S", help="Go on, every S seconds: 10 or 10s."),
    ] = None,
    site_key: SiteKeyFile = None,
    ca: Ca = None,
    cert: Cert = None,
    cert_key: CertKey = None,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Send a lease: the heartbeat under which a quota counts. It is never answered.

    Example: quotawatt send lease --rev 7 --every 5 --mqtt mqtt://localhost --site lhe-01 --key dispatch.jwk
    """
    desk = _Desk(
        mqtt, site, key, site_key, as_json=as_json, dry_run=dry_run, tls=TlsNames(ca, cert, cert_key)
    )
    every_s = None if every is None else _seconds(every)
    if dry_run:
        desk.show(desk.sender.lease(rev))
        return
    sent = _run(_beat(desk.broker, desk.topics, desk.sender, rev, every_s))
    print(json.dumps({"sent": sent}) if as_json else "sent")


@app.command("cmd")
def cmd(
    op: Annotated[str, typer.Argument(metavar="OP", help=f"One of: {', '.join(Op)}.")],
    mqtt: MqttUrl,
    site: SiteId,
    key: KeyFile,
    args: Annotated[str, typer.Option("--args", metavar="JSON", help="The operation's arguments.")] = "{}",
    role: Annotated[
        Role | None, typer.Option("--role", help="The key's role; by default each is tried.")
    ] = None,
    expect_rev: Annotated[
        int | None, typer.Option("--expect-rev", help="Only if the site holds this revision; 0 = none.")
    ] = None,
    site_key: SiteKeyFile = None,
    ca: Ca = None,
    cert: Cert = None,
    cert_key: CertKey = None,
    as_json: AsJson = False,
    dry_run: DryRun = False,
    timeout: FirstAnswer = 10.0,
) -> None:
    """Send a command and wait until it is done.

    Example: quotawatt send cmd hold --args '{"limit_w": 5000000, "reason": "crane"}'
    --mqtt mqtt://localhost --site lhe-01 --key operator.jwk --site-key site.pub.jwk
    """
    desk = _Desk(
        mqtt, site, key, site_key, as_json=as_json, dry_run=dry_run, tls=TlsNames(ca, cert, cert_key)
    )
    roles = [Role.OPERATOR, Role.ENGINEER, Role.DISPATCHER] if role is None else [role]
    lanes = [Lane.of_commands(each) for each in roles]
    message = desk.sender.command(op, _object(args), lane=lanes[0], expect_rev=expect_rev)
    desk.deliver(message, lanes, timeout)


async def _beat(settings: Mqtt, topics: Topics, sender: Sender, rev: int, every_s: float | None) -> int:
    """Send leases; how many."""
    sent = 0
    async with connected(settings) as connection:
        while True:
            put(connection, topics, sender.lease(rev))
            sent += 1
            if every_s is None:
                break
            await asyncio.sleep(every_s)
        try:
            async with asyncio.timeout(10):
                await connection.drained()
        except TimeoutError as error:
            raise SilenceError("the broker does not confirm") from error
    return sent


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    try:
        return asyncio.run(work)
    except SilenceError as error:
        print(f"quotawatt send: {error}", file=sys.stderr)
        raise typer.Exit(Exit.UNREACHABLE) from error
    except KeyboardInterrupt:
        raise typer.Exit(Exit.DONE) from None


def _schedule(file: Path) -> tuple[ScheduleEntry, ...]:
    try:
        value = loads(file.read_bytes())
        entries = value.get("schedule") if isinstance(value, dict) else value
        if not isinstance(entries, list):
            raise ValueError('a list of {"start", "end", "limit_w"} would be right')  # noqa: TRY004, TRY301  one way out
        return schedule_of(entries)
    except OSError as error:
        raise _usage(f"{file}: cannot be read: {error.strerror}") from error
    except (MalformedError, ValueError) as error:
        raise _usage(f"{file}: {error}") from error


def _object(text: str) -> dict[str, Any]:
    try:
        value = loads(text.encode("utf-8"))
    except MalformedError as error:
        raise _usage(f"--args: {error}") from error
    if not isinstance(value, dict):
        raise _usage('--args: an object like {"limit_w": 5000000} would be right')
    return value


def _seconds(text: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise _usage(f"--every {text}: 0.1 to 3600 seconds, like 10 or 10s, would be right")
    return seconds


def _plan_table(plan: Mapping[str, Any]) -> Table:
    """The result of `plan` for people."""
    table = Table("under a limit of", _mw(plan["limit_w"]), box=None, title_justify="left")
    loads = plan["loads"]
    table.add_row("what cannot be ordered draws", _mw(plan["uncontrolled_w"]))
    table.add_row("kept as a margin", _mw(plan["margin_w"]))
    table.add_row("left for loads", _mw(plan["target_w"]))
    table.add_row("loads", f"{loads['off']} off, {loads['reduced']} reduced, {loads['full']} full")
    table.add_row("lowest that can be reached", _mw(plan["lowest_w"]))
    table.add_row("the limit is", "reached" if plan["reached"] else "NOT reached")
    table.add_row("after about", f"{plan['seconds']} s")
    return table


def _mw(watts: int | None) -> str:
    return "not known" if watts is None else f"{watts / 1e6:.3f} MW"


def _usage(problem: str) -> typer.Exit:
    print(f"quotawatt send: {problem}", file=sys.stderr)
    return typer.Exit(Exit.USAGE)
