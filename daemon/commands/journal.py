"""What has been taken and what was answered: tables `last_seqs`, `commands`, `answers`."""

from dataclasses import dataclass

from daemon.commands.answers import Answer
from daemon.commands.words import RSP_TYP, Status
from daemon.signing import Envelope, loads, parse
from daemon.store import Store, Transaction

KEPT_AFTER_EXP_S = 600


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A command that was accepted and has no last answer."""

    kid: str
    jti: str
    op: str
    envelope: Envelope
    accepted_s: int


async def last_seq(tx: Transaction, kid: str, typ: str) -> int | None:
    """Highest seq taken from a key and type."""
    row = await tx.fetch_one("SELECT seq FROM last_seqs WHERE kid = ? AND typ = ?", (kid, typ))
    return None if row is None else int(row[0])


async def take_seq(tx: Transaction, kid: str, typ: str, seq: int) -> None:
    """Take nothing up to `seq` from this key and type any more."""
    await tx.execute(
        "INSERT INTO last_seqs (kid, typ, seq) VALUES (?, ?, ?) "
        "ON CONFLICT (kid, typ) DO UPDATE SET seq = max(seq, excluded.seq)",
        (kid, typ, seq),
    )


async def next_answer_seq(tx: Transaction, site_kid: str, now_s: float) -> int:
    """A seq for an answer: Unix microseconds, above every one before even if the clock went back."""
    last = await last_seq(tx, site_kid, RSP_TYP)
    seq = max(int(now_s * 1_000_000), 0 if last is None else last + 1)
    await take_seq(tx, site_kid, RSP_TYP, seq)
    return seq


async def known_hash(tx: Transaction, kid: str, jti: str) -> str | None:
    """Hash of the message that this jti of this key belongs to."""
    row = await tx.fetch_one("SELECT hash FROM commands WHERE kid = ? AND jti = ?", (kid, jti))
    return None if row is None else str(row[0])


async def add_message(tx: Transaction, envelope: Envelope, *, jti: str, exp: int, op: str) -> None:
    """Keep a message that is answered. `op` = the command's, or `quota`."""
    await tx.execute(
        "INSERT INTO commands (kid, jti, hash, keep_until, op, finished, jws) VALUES (?, ?, ?, ?, ?, 0, ?)",
        (envelope.header.kid, jti, envelope.hash, exp + KEPT_AFTER_EXP_S, op, envelope.text.decode("ascii")),
    )


async def add_answer(tx: Transaction, answer: Answer) -> None:
    """Keep an answer; any but `accepted` is the last one."""
    key = (answer.kid, answer.jti)
    row = await tx.fetch_one("SELECT count(*) FROM answers WHERE kid = ? AND jti = ?", key)
    number = 1 if row is None else int(row[0]) + 1
    await tx.execute(
        "INSERT INTO answers (kid, jti, number, jws) VALUES (?, ?, ?, ?)", (*key, number, answer.jws)
    )
    if answer.status is not Status.ACCEPTED:
        await tx.execute("UPDATE commands SET finished = 1 WHERE kid = ? AND jti = ?", key)


async def answers_to(tx: Transaction, kid: str, jti: str) -> list[Answer]:
    """The answers given to a message so far."""
    rows = await tx.fetch_all("SELECT jws FROM answers WHERE kid = ? AND jti = ? ORDER BY number", (kid, jti))
    return [_answer(kid, jti, str(jws)) for (jws,) in rows]


async def answers_by_jti(store: Store, jti: str) -> list[str]:
    """The answers given to a command so far, whoever sent it."""
    rows = await store.fetch_all("SELECT jws FROM answers WHERE jti = ? ORDER BY kid, number", (jti,))
    return [str(jws) for (jws,) in rows]


async def living_answers(store: Store, now_s: float) -> list[Answer]:
    """The answers to messages that have not expired, oldest first."""
    rows = await store.fetch_all(
        "SELECT kid, jti, answers.jws FROM commands JOIN answers USING (kid, jti) "
        "WHERE keep_until > ? ORDER BY commands.rowid, number",
        (int(now_s) + KEPT_AFTER_EXP_S,),
    )
    answers = [_answer(kid, jti, str(jws)) for kid, jti, jws in rows]
    return [answer for answer in answers if answer.exp > now_s]


async def unfinished(store: Store) -> list[Unfinished]:
    """Commands that are still waited for."""
    rows = await store.fetch_all(
        "SELECT kid, jti, op, commands.jws, answers.jws FROM commands JOIN answers USING (kid, jti) "
        "WHERE finished = 0 AND number = 1 ORDER BY commands.rowid"
    )
    return [
        Unfinished(kid, jti, op, parse(jws.encode("ascii")), int(_claim(answer, "iat")))
        for kid, jti, op, jws, answer in rows
    ]


async def prune(tx: Transaction, now_s: float) -> None:
    """Forget messages whose time is over; their seq still keeps them out."""
    await tx.execute("DELETE FROM commands WHERE keep_until < ? AND finished = 1", (int(now_s),))


def _answer(kid: str, jti: str, jws: str) -> Answer:
    return Answer(kid, jti, Status(_claim(jws, "status")), int(_claim(jws, "exp")), jws)


def _claim(jws: str, name: str) -> str:
    return str(loads(parse(jws.encode("ascii")).payload)[name])
