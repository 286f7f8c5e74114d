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


@given(st.text(ALPHABET, max_size=7))
def test_a_second_spelling_of_the_same_bytes_is_refused(text: str) -> None:
    try:
        data = decode_base64url(text)
    except FormError:
        # No bytes have this spelling: one character alone, or bits that stand for nothing.
        longer = text + "A" * (-len(text) % 4)
        data = base64.urlsafe_b64decode(longer)[: len(text) * 6 // 8]
    else:
        assert base64.urlsafe_b64encode(data).rstrip(b"=").decode() == text
        return
    assert base64.urlsafe_b64encode(data).rstrip(b"=").decode() != text


@given(st.text(max_size=6).filter(lambda text: not set(text) <= set(ALPHABET)))
def test_other_characters_are_refused(text: str) -> None:
    with pytest.raises(FormError):
        decode_base64url(text)
