"""Every way to spoil a ledger that the test vectors tell apart."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.world.ledger_vectors import FIRST, SECOND, SECOND_EPOCH, STRANGER, Good
from tests.world.settling_site import EPOCH, Key, b64, canonical, hash_text, unb64


def members_of(jws: bytes) -> dict[str, Any]:
    members = json.loads(unb64(jws.split(b".")[1].decode()))
    assert isinstance(members, dict)
    return members


def number_of(jws: bytes) -> int:
    return int(members_of(jws)["seq"])


def resigned(jws: bytes, key: Key, **members: Any) -> bytes:
    return key.jws(canonical({**members_of(jws), **members}), "qw-rec+jws")


def signer(jws: bytes) -> Key:
    """Whose key signed a record of the good ledger."""
    kid = json.loads(unb64(jws.split(b".")[0].decode()))["kid"]
    return {FIRST.kid: FIRST, SECOND.kid: SECOND}[kid]


def rechained(lines: list[bytes], number: int, edit: Callable[[dict[str, Any]], None] | None) -> list[bytes]:
    """What a dishonest holder of the key makes of it: line `number` edited, or left out, and all after it
    of its epoch numbered, linked and signed anew."""
    made = lines[: number - 1]
    epoch = members_of(lines[number - 1])["epoch"]
    for at, jws in enumerate(lines[number - 1 :], start=number):
        members = members_of(jws)
        if members["epoch"] != epoch:
            return made + lines[at - 1 :]
        key = signer(jws)
        if at == number:
            if edit is None:
                continue
            edit(members)
        before = members_of(made[-1])
        members["seq"], members["prev"] = before["seq"] + 1, hash_text(made[-1])
        made.append(key.jws(canonical(members), "qw-rec+jws"))
    return made


def change(**members: Any) -> Callable[[dict[str, Any]], None]:
    return lambda record: record.update(members)


def add(**differences: int) -> Callable[[dict[str, Any]], None]:
    return lambda record: record.update({name: record[name] + by for name, by in differences.items()})


def of_kind(lines: list[bytes], kind: str, nth: int = 0) -> int:
    """Line number of the nth record of a kind."""
    return [number for number, jws in enumerate(lines, start=1) if members_of(jws)["kind"] == kind][nth]


def flipped(jws: bytes, part: int, index: int) -> bytes:
    parts = jws.split(b".")
    raw = bytearray(unb64(parts[part].decode()))
    raw[index] ^= 1
    parts[part] = b64(bytes(raw)).encode()
    return b".".join(parts)


def edited_energy(jws: bytes) -> bytes:
    """The text of a record with another energy under the old signature."""
    head, _, signature = jws.split(b".")
    members = members_of(jws)
    return b".".join((head, b64(canonical({**members, "wh": members["wh"] + 1})).encode(), signature))


def second_spelling(jws: bytes) -> bytes:
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return jws[:-1] + alphabet[alphabet.index(jws[-1]) + 1 :][:1]


@dataclass(frozen=True)
class Tampered:
    name: str
    what: str
    lines: list[bytes]
    word: str
    at: tuple[int, int]
    receipts: list[bytes] | None = None


def tampered(held: Good) -> list[Tampered]:
    """Every way to spoil a ledger that is told apart here."""
    lines, site = held.site.lines(), held.site
    middle = of_kind(lines, "interval", 1)
    seq = number_of(lines[middle - 1])
    at = (EPOCH, seq)
    end = len([jws for jws in lines if members_of(jws)["epoch"] == EPOCH])
    close, correction = of_kind(lines, "day_close"), of_kind(lines, "correction")
    carrier = of_kind(lines, "gap", 4)

    def replaced(number: int, jws: bytes) -> list[bytes]:
        return [*lines[: number - 1], jws, *lines[number:]]

    own = lines[middle - 1]
    swapped = [*lines[: middle - 1], lines[middle], own, *lines[middle + 1 :]]
    old_key = of_kind(lines, "interval", 6)
    stranger = Key("stranger", STRANGER.private)
    other_site = resigned(own, FIRST, site="lhe-02")
    odd = FIRST.jws(json.dumps(members_of(own)).encode(), "qw-rec+jws")
    twice = FIRST.jws(canonical(members_of(own))[:-1] + b',"wh":7}', "qw-rec+jws")
    quiet = [site.receipt(site.seq() - 1, STRANGER), *held.receipts]
    forged = [site.receipt(site.seq() - 1, Key("exchange-1", STRANGER.private)), *held.receipts]
    other = [site.receipt(site.seq() - 1, head_hash=b64(bytes(32))), *held.receipts]
    last = held.receipts[-1:]
    last_at = (SECOND_EPOCH, site.seq(SECOND_EPOCH) - 1)
    silent = rechained(lines, carrier, change(wh=None, reg_start_wh=None, reg_end_wh=None))
    return [
        Tampered(
            "edited-energy",
            "wh was edited under the old signature",
            replaced(middle, edited_energy(own)),
            "signature",
            at,
        ),
        Tampered(
            "flipped-signature",
            "one bit of a signature",
            replaced(middle, flipped(own, 2, 9)),
            "signature",
            at,
        ),
        Tampered(
            "second-spelling",
            "a signature spelt with unused bits",
            replaced(middle, second_spelling(own)),
            "form",
            at,
        ),
        Tampered(
            "deleted",
            "a record was deleted",
            [*lines[: middle - 1], *lines[middle:]],
            "sequence",
            (EPOCH, seq + 1),
        ),
        Tampered("doubled", "a record stands twice", [*lines[:middle], own, *lines[middle:]], "sequence", at),
        Tampered("swapped", "two records changed places", swapped, "sequence", (EPOCH, seq + 1)),
        Tampered(
            "stranger", "signed by a stranger's key", replaced(middle, resigned(own, stranger)), "key", at
        ),
        Tampered(
            "impostor",
            "signed by a stranger's key in the site's name",
            replaced(middle, resigned(own, STRANGER)),
            "signature",
            at,
        ),
        Tampered(
            "old-key",
            "signed by the key that was changed",
            replaced(old_key, resigned(lines[old_key - 1], FIRST)),
            "key",
            (EPOCH, number_of(lines[old_key - 1])),
        ),
        Tampered("other-site", "a record of another site", replaced(middle, other_site), "site", at),
        Tampered(
            "relinked",
            "prev was replaced by the key's holder",
            replaced(middle, resigned(own, FIRST, prev=b64(bytes(32)))),
            "chain",
            at,
        ),
        Tampered("cut-beginning", "the first records are missing", lines[3:], "sequence", (EPOCH, 4)),
        Tampered("cut-end", "the last records are missing", lines[:-4], "receipt", last_at, last),
        Tampered("cut-epoch", "the older epoch is missing", lines[end:], "epoch", (SECOND_EPOCH, 1), last),
        Tampered("not-canonical", "white space in the payload", replaced(middle, odd), "form", at),
        Tampered("name-twice", "a member twice", replaced(middle, twice), "form", at),
        Tampered(
            "extra-member", "a member too many", replaced(middle, resigned(own, FIRST, note="x")), "form", at
        ),
        Tampered(
            "a-float",
            "a number with a fraction",
            replaced(middle, resigned(own, FIRST, max_w=1.5)),
            "form",
            at,
        ),
        Tampered(
            "more-energy",
            "the key's holder sold more than the registers show",
            rechained(lines, middle, add(wh=1_000)),
            "energy",
            at,
            [],
        ),
        Tampered(
            "register-step",
            "the key's holder let a register begin elsewhere",
            rechained(lines, middle + 2, add(reg_start_wh=1_000)),
            "register",
            (EPOCH, seq + 2),
            [],
        ),
        Tampered(
            "left-out",
            "the key's holder left an interval out",
            rechained(lines, middle, None),
            "grid",
            (EPOCH, seq + 1),
            [],
        ),
        Tampered(
            "doubled-interval",
            "the key's holder told an interval twice",
            rechained(lines, middle, change(start=members_of(lines[middle - 4])["start"])),
            "grid",
            at,
            [],
        ),
        Tampered(
            "run-left-open",
            "an interval carries the energy of the run of gaps before it",
            rechained(silent, carrier + 3, add(reg_start_wh=-11_800, wh=11_800)),
            "register",
            (EPOCH, number_of(lines[carrier - 1]) + 3),
            [],
        ),
        Tampered(
            "day-sum",
            "the key's holder closed a day with more energy",
            rechained(lines, close, add(wh=1)),
            "sum",
            (EPOCH, close),
            [],
        ),
        Tampered(
            "day-count",
            "the key's holder closed a day with a record less",
            rechained(lines, close, add(count=-1)),
            "sum",
            (EPOCH, close),
            [],
        ),
        Tampered(
            "day-root",
            "the key's holder closed a day with another root",
            rechained(lines, close, change(root=b64(bytes(32)))),
            "root",
            (EPOCH, close),
            [],
        ),
        Tampered(
            "day-open",
            "the key's holder left a day_close out",
            rechained(lines, close, None),
            "day",
            (EPOCH, close),
            [],
        ),
        Tampered(
            "future-correction",
            "a correction of a record to come",
            rechained(lines, correction, change(ref={"epoch": EPOCH, "seq": 900})),
            "reference",
            (EPOCH, correction),
            [],
        ),
        Tampered(
            "stranger-receipt",
            "a receipt by a key that is not the exchange's",
            lines,
            "receipt",
            (0, 0),
            quiet,
        ),
        Tampered(
            "forged-receipt",
            "a receipt by a stranger in the exchange's name",
            lines,
            "receipt",
            (0, 0),
            forged,
        ),
        Tampered("other-receipt", "a receipt over another record", lines, "receipt", last_at, other),
    ]
