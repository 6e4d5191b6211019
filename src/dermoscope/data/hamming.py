"""All pairs of 64-bit hashes that differ in few bits, without comparing all with all.

Multi-index hashing (Norouzi, Punjani & Fleet 2012, "Fast search in Hamming space with multi-index hashing"): hashes
that differ in at most 9 bits agree, up to one bit, in at least one of five parts of 12 or 13 bits. Each part is looked
up in its own table, and only what is found there is counted out.
"""

import numpy as np
from jaxtyping import Int, UInt64

PARTS = ((0, 13), (13, 13), (26, 13), (39, 13), (52, 12))
"""First bit and number of bits of each part."""
MOST = 2 * len(PARTS) - 1
"""The largest radius that is searched completely: ten bits could be two in each part."""
_BLOCK = 1 << 20

Hashes = UInt64[np.ndarray, " hashes"]
Positions = Int[np.ndarray, " pairs"]


def within(queries: Hashes, index: Hashes, radius: int) -> tuple[Positions, Positions]:
    """Positions (in `queries`, in `index`) of all pairs at a Hamming distance of at most `radius`, each once.

    `radius` is at most 9; the pairs are sorted. Raises ValueError for a larger one.
    """
    if not 0 <= radius <= MOST:
        raise ValueError(f"a radius of {radius} bits; this search is complete from 0 to {MOST}")
    keys = [_lookup(queries, index, first, bits, radius) for first, bits in PARTS]
    pairs = np.unique(np.concatenate(keys)) if keys else np.empty(0, np.int64)
    return pairs // max(len(index), 1), pairs % max(len(index), 1)


def _lookup(queries: Hashes, index: Hashes, first: int, bits: int, radius: int) -> Positions:
    """Pairs, as query * len(index) + hit, that agree up to one bit in one part and are near as a whole."""
    own, other = (((h >> np.uint64(first)) & np.uint64((1 << bits) - 1)).astype(np.int64) for h in (queries, index))
    order = np.argsort(other, kind="stable")
    starts = np.searchsorted(other[order], np.arange((1 << bits) + 1))
    found = []
    for flip in (0, *(1 << bit for bit in range(bits))):
        low, high = starts[own ^ flip], starts[(own ^ flip) + 1]
        found += _near(queries, index, order, (low, high), radius)
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _near(
    queries: Hashes, index: Hashes, order: Positions, buckets: tuple[Positions, Positions], radius: int
) -> list[Positions]:
    low, high = buckets
    ends = np.cumsum(high - low)
    found, start = [], 0
    while start < len(queries):
        # As many queries at once as fit a block, at least one.
        stop = max(start + 1, int(np.searchsorted(ends, (ends[start - 1] if start else 0) + _BLOCK, side="right")))
        counts = (high - low)[start:stop]
        rows = np.repeat(np.arange(start, stop), counts)
        inside = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        hits = order[low[rows] + inside]
        near = np.bitwise_count(queries[rows] ^ index[hits]) <= radius
        found.append(rows[near] * len(index) + hits[near])
        start = stop
    return found
