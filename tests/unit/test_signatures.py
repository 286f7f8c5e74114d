"""What counts as a key's signature: the vectors of RFC 8032, and what is near one but is none."""

import pytest

from daemon.signing import BadSignatureError, PrivateKey, PublicKey

GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493

# RFC 8032, section 7.1: tests 1 to 3.
VECTORS = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
]


@pytest.mark.parametrize(("seed", "public", "data", "signature"), VECTORS)
def test_keys_and_signatures_are_those_of_the_standard(
    seed: str, public: str, data: str, signature: str
) -> None:
    key = PrivateKey.from_seed(bytes.fromhex(seed))
    assert key.public().raw.hex() == public
    assert key.sign(bytes.fromhex(data)).hex() == signature
    key.public().verify(bytes.fromhex(signature), bytes.fromhex(data))


KEY = PrivateKey.from_seed(bytes(range(32)))
DATA = b"header.payload"
SIGNATURE = KEY.sign(DATA)
NEARLY = {
    "a byte of the signature is the data's": (SIGNATURE[:-1], SIGNATURE[-1:] + DATA),
    "a byte of the data is the signature's": (SIGNATURE + DATA[:1], DATA[1:]),
    "there is none": (b"", DATA),
    "it is cut": (SIGNATURE[:63], DATA),
    "the data is another": (SIGNATURE, DATA + b" "),
    # The same point, said by another number: whoever accepts it has two signatures for one message.
    "S is not reduced": (
        SIGNATURE[:32] + (int.from_bytes(SIGNATURE[32:], "little") + GROUP_ORDER).to_bytes(32, "little"),
        DATA,
    ),
}


@pytest.mark.parametrize(("signature", "data"), NEARLY.values(), ids=NEARLY)
def test_what_is_no_signature_is_refused(signature: bytes, data: bytes) -> None:
    public = KEY.public()
    assert public.signed(SIGNATURE, DATA)
    assert not public.signed(signature, data)
    with pytest.raises(BadSignatureError, match=KEY.kid):
        public.verify(signature, data)


def test_a_key_of_small_order_signs_nothing() -> None:
    # With the neutral point as key, R = neutral and S = 0 fit any message.
    neutral = bytes([1]) + bytes(31)
    assert not PublicKey("anyone", neutral).signed(neutral + bytes(32), DATA)
