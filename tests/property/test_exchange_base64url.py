"""The exchange's base64url: every value has one spelling, and nothing else is read."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_devices.exchange.encoding import FormError, decode_base64url

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(st.binary(max_size=70))
def test_what_is_encoded_is_read_again(data: bytes) -> None:
    assert decode_base64url(base64.urlsafe_b64encode(data).rstrip(b"=").decode()) == data


@pytest.mark.parametrize("begin", ["", "A", "_Z", "-09", "zzzz"])
def test_of_the_spellings_of_the_same_bytes_one_is_read(begin: str) -> None:
    spellings: dict[bytes, list[str]] = {}
    for last in ALPHABET:
        text = begin + last
        size = len(text) * 6 // 8
        spellings.setdefault(base64.urlsafe_b64decode(text + "A" * (-len(text) % 4))[:size], []).append(text)
    for data, texts in spellings.items():
        canonical = base64.urlsafe_b64encode(data).rstrip(b"=").decode()
        for text in texts:
            if text == canonical:
                assert decode_base64url(text) == data
            else:
                with pytest.raises(FormError):
                    decode_base64url(text)


@given(st.text(max_size=6).filter(lambda text: not set(text) <= set(ALPHABET)))
def test_other_characters_are_refused(text: str) -> None:
    with pytest.raises(FormError):
        decode_base64url(text)
