"""The test vectors of every profile: raw words and what their source says that they mean."""

import math

import pytest

from drivers.modbus.codec import decode_text, decode_words
from drivers.profile import ModbusMap, Origin, Profile, Trust, Vector
from drivers.profiles import load_profile, profile_names

ALL = [load_profile(name) for name in profile_names()]
REAL = [p for p in ALL if p.trust is not Trust.SIMULATED and isinstance(p.map, ModbusMap)]
VECTORS = [
    pytest.param(profile, vector, id=f"{profile.name}-{vector.point}-{index}")
    for profile in REAL
    for index, vector in enumerate(profile.vectors)
]


@pytest.mark.parametrize(("profile", "vector"), VECTORS)
def test_raw_words_mean_what_the_vector_says(profile: Profile, vector: Vector) -> None:
    assert isinstance(profile.map, ModbusMap)
    texts = {text.name for text in profile.map.texts}
    if vector.point in texts:
        assert decode_text(vector.words) == vector.value
        return
    (point,) = (point for point in profile.map.points if point.name == vector.point)
    value = decode_words(point, vector.words)
    if vector.value is None:
        assert value is None
    else:
        assert value is not None
        assert isinstance(vector.value, float)
        assert math.isclose(value, vector.value, rel_tol=1e-7)


@pytest.mark.parametrize("profile", REAL, ids=lambda profile: profile.name)
def test_a_real_devices_profile_names_what_it_stands_on(profile: Profile) -> None:
    assert isinstance(profile.map, ModbusMap)
    assert profile.sources
    assert profile.map.identity or profile.map.sunspec_model
    assert profile.setpoint is None
    assert "power" in {vector.point for vector in profile.vectors}
    if profile.trust is Trust.SINGLE_SOURCE:
        assert profile.warning
    for vector in profile.vectors:
        assert vector.origin in Origin
        assert vector.source


def test_some_vectors_come_from_their_sources_and_say_so() -> None:
    copied = {p.name for p in REAL for vector in p.vectors if vector.origin is Origin.SOURCE}
    assert copied >= {"eastron-sdm630", "schneider-pm5340", "abb-b2x", "carlo-gavazzi-em24-e1"}
