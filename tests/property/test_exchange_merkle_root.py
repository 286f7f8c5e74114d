"""The exchange's Merkle root against RFC 9162's definition, and its known values."""

from hypothesis import given
from hypothesis import strategies as st

from sim_devices.exchange.merkle import merkle_root
from tests.world.settling_site import b64, root_of


@given(st.lists(st.binary(max_size=8), max_size=40))
def test_the_root_is_that_of_rfc_9162(leaves: list[bytes]) -> None:
    assert merkle_root(leaves) == root_of(leaves)


def test_the_root_of_nothing_and_of_certificate_transparencys_first_leaves() -> None:
    # The test vectors of RFC 6962's reference implementation; RFC 9162 has the same tree.
    leaves = [b"", b"\x00", b"\x10", b"\x20\x21"]
    known = {
        0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    }
    for count, root in known.items():
        assert merkle_root(leaves[:count]) == b64(bytes.fromhex(root))
