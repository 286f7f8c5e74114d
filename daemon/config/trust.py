"""Who may command the site."""

from collections.abc import Sequence

from daemon.config.models import JwkTable, TrustedKeyTable
from daemon.config.problems import Entry, Problems, validate
from daemon.config.settings import Jwk, KeyRole, TrustedKey


def read_trust(entries: Sequence[Entry], problems: Problems) -> tuple[TrustedKey, ...]:
    """The trusted keys; complete only if no mistake was noted."""
    trusted = []
    for entry in entries:
        model = validate(entry, TrustedKeyTable, problems)
        if model is None:
            continue
        first, last = model.not_before, model.not_after
        if first is not None and last is not None and first >= last:
            entry.add(problems, ("not_after",), "is not after not_before", "write a later time")
        trusted.append(
            TrustedKey(
                model.kid, KeyRole(model.role), public_jwk(model.jwk), model.not_before, model.not_after
            )
        )
    _check_unique(entries, problems)
    return tuple(trusted)


def public_jwk(table: JwkTable) -> Jwk:
    """The three members that are the key."""
    return {"kty": table.kty, "crv": table.crv, "x": table.x}


def _check_unique(entries: Sequence[Entry], problems: Problems) -> None:
    """A name or a key that two senders share would let one spend the other's sequence numbers."""
    names: dict[str, Entry] = {}
    keys: dict[str, Entry] = {}
    for entry in entries:
        kid = entry.get("kid", str)
        if kid is not None and names.setdefault(kid, entry) is not entry:
            what = f'"{kid}" is already taken by {names[kid].label} of {names[kid].file}'
            entry.add(problems, ("kid",), what, "give every key its own kid")
        x = (entry.get("jwk", dict) or {}).get("x")
        if isinstance(x, str) and keys.setdefault(x, entry) is not entry:
            what = f"is the same key as in {keys[x].label} of {keys[x].file}"
            entry.add(problems, ("jwk",), what, "give every sender a key of its own")
