"""The test vectors of docs/vectors/ledger as files.

`python -m tests.world.ledger_vector_files` writes them anew.
"""

import json
from pathlib import Path

from tests.world.ledger_tampering import tampered
from tests.world.ledger_vectors import EXCHANGE, FIRST, good
from tests.world.settling_site import Key

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "vectors" / "ledger"


def files() -> dict[str, str]:
    """The vectors, by file name."""
    held = good()
    lines = held.site.lines()
    numbers = {jws: number for number, jws in enumerate(lines, start=1)}
    cases = [
        {
            "name": each.name,
            "what": each.what,
            "lines": [numbers.get(jws, jws.decode()) for jws in each.lines],
            "receipts": None if each.receipts is None else [jws.decode() for jws in each.receipts],
            "finding": {"word": each.word, "epoch": each.at[0], "seq": each.at[1]},
        }
        for each in tampered(held)
    ]
    return {
        "good.jws": "".join(jws.decode() + "\n" for jws in lines),
        "good.receipts": "".join(jws.decode() + "\n" for jws in held.receipts),
        "site.jwks": jwks(FIRST),
        "exchange.jwks": jwks(EXCHANGE),
        "tampered.json": "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n",
    }


def jwks(key: Key) -> str:
    return json.dumps({"keys": [{**key.jwk, "kid": key.kid}]}) + "\n"


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="ascii")


if __name__ == "__main__":
    main()
