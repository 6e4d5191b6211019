"""Search for near hashes, held against the comparison of all with all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermoscope.data.hamming import MOST, within


@given(st.integers(0, 2**32), st.integers(0, MOST))
def test_finds_what_a_comparison_of_all_finds(seed: int, radius: int) -> None:
    rng = np.random.default_rng(seed)
    index = rng.integers(0, 2**63, 60, dtype=np.uint64)
    flips = np.zeros(60, np.uint64)
    for bit in range(14):
        flips |= (rng.random(60) < bit / 14).astype(np.uint64) << rng.integers(0, 64, 60, dtype=np.uint64)
    queries = index ^ flips
    rows, columns = np.nonzero(np.bitwise_count(queries[:, None] ^ index[None]) <= radius)
    found = within(queries, index, radius)
    assert np.array_equal(found[0], rows)
    assert np.array_equal(found[1], columns)


def test_nothing_among_nothing() -> None:
    none = np.empty(0, np.uint64)
    assert [len(part) for part in within(none, none, 3)] == [0, 0]


def test_a_radius_that_would_miss_pairs_is_refused() -> None:
    with pytest.raises(ValueError, match="a radius of 10 bits; this search is complete from 0 to 9"):
        within(np.zeros(1, np.uint64), np.zeros(1, np.uint64), 10)
