"""Which files show the same picture: the same bytes, or nearly the same pixels, turned or mirrored too.

Two steps. A hash of 64 bits (the signs of the lowest frequencies; Zauner 2010, "Implementation and benchmarking of
perceptual image hash functions") finds candidates without comparing all with all (`hamming.py`). Then the pixels
decide: the pair is aligned, and what is left when all soft shading is taken away must agree. Without that last step
two round moles on pale skin are alike (plain correlation of .985 between different lesions of HAM10000).
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8, UInt64

from dermoscope.data.hamming import within

BITS = 8
"""The hash keeps BITS x BITS frequencies."""
RADIUS = 9
"""Most bits in which the hashes of a candidate pair differ."""
ZOOMS = (1.0, 0.95, 0.9)
"""Centres of the picture that are looked up too, so that a cropped copy is found."""
LIKELY = 0.77
"""Least correlation of the coarse detail of a candidate that is worth aligning."""
SAME = 0.87
"""Least correlation of the fine detail of two pictures that count as one; this and `COLOURS` are chosen in ADR 0006."""
COLOURS = 0.96
"""Least correlation of their colours, the mean of each channel taken away."""
FLAT = 2.0
"""A picture whose grey levels vary less than this (standard deviation) is blank and like any other blank one."""

_COARSE = 16
_BLOCK = 2048
_BATCH = 64
_THREADS = 2
_LEAST_OVERLAP = 0.6

Greys = UInt8[np.ndarray, "pictures side side"]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Link:
    """Two pictures (by their position) that are one, and how alike: the correlation of their fine detail."""

    first: int
    second: int
    likeness: float


def near_duplicates(
    pictures: UInt8[np.ndarray, "pictures side side 3"], *, progress: Progress | None = None
) -> list[Link]:
    """Links between pictures that show the same, in any of eight turns and mirrorings.

    `pictures` are the small pictures of `properties.py`. The links hold every group of near-duplicates together but
    do not name all its pairs: a pair that is joined already by others is not looked at. Blank pictures are left out.
    `progress` is called with (done, total).
    """
    joined = Groups(len(pictures))
    found = []
    pairs = _candidates(pictures, progress)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="pixels") as pool:
        for start in range(0, len(pairs), _BATCH):
            batch = [p for p in pairs[start : start + _BATCH] if joined.find(p[0]) != joined.find(p[1])]
            figures = pool.map(lambda p: alike(pictures[p[0]], turned(pictures[p[1]], p[2])), batch)
            for (first, second, _), (likeness, colours) in zip(batch, figures, strict=True):
                if likeness >= SAME and colours >= COLOURS and joined.find(first) != joined.find(second):
                    joined.join(first, second)
                    found.append(Link(min(first, second), max(first, second), likeness))
            if progress is not None:
                done = min(1.0, (start + _BATCH) / len(pairs))
                progress(_LOOKED_UP + int(_LOOKED_UP * done), 2 * _LOOKED_UP)
    return sorted(found, key=lambda link: (link.first, link.second))


def alike(first: UInt8[np.ndarray, "side side 3"], second: UInt8[np.ndarray, "side side 3"]) -> tuple[float, float]:
    """Correlation in [-1, 1] of the fine detail and of the colours of two small pictures.

    The second is aligned with the first where that makes the detail agree better. The affine map comes from ECC
    maximisation (Evangelidis & Psarakis 2008) on pictures without their shading.
    """
    everywhere = np.ones(first.shape[:2], bool)
    plain = _agreement(first, second, everywhere)
    matrix = _aligned(first, second)
    if matrix is None:
        return plain
    flags, side = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, first.shape[:2][::-1]
    moved = cv2.warpAffine(second, matrix, side, flags=flags, borderMode=cv2.BORDER_REFLECT)
    inside = cv2.warpAffine(everywhere.astype(np.uint8), matrix, side, flags=flags) > 0
    return max(plain, _agreement(first, moved, inside)) if inside.mean() >= _LEAST_OVERLAP else plain


def turned(picture: np.ndarray, turn: int) -> np.ndarray:
    """A picture [..., side, side, 3] in one of the eight turns and mirrorings (0 to 7; 0 leaves it as it is)."""
    axes = (picture.ndim - 3, picture.ndim - 2)
    mirrored = np.flip(picture, axes[1]) if turn >= 4 else picture
    return np.ascontiguousarray(np.rot90(mirrored, turn % 4, axes))


def hashes(greys: Greys) -> UInt64[np.ndarray, " pictures"]:
    """The signs of the 8 x 8 lowest frequencies (cosine transform) of grey pictures, the mean left out, as 64 bits."""
    side = greys.shape[1]
    at = (np.arange(side) + 0.5) * np.pi / side
    basis = np.cos(np.arange(BITS)[:, None] * at).astype(np.float32)
    out = np.empty(len(greys), np.uint64)
    for start in range(0, len(greys), _BLOCK):
        waves = basis @ greys[start : start + _BLOCK].astype(np.float32) @ basis.T
        waves[:, 0, 0] = 0.0
        packed = np.packbits((waves > 0).reshape(len(waves), -1), axis=1)
        out[start : start + _BLOCK] = packed.view(">u8")[:, 0]
    return out


class Groups:
    """Union-find (Tarjan 1975) over positions 0 to n - 1."""

    def __init__(self, n: int) -> None:
        self._above = list(range(n))

    def find(self, item: int) -> int:
        """The position that stands for the group of `item`."""
        while self._above[item] != item:
            self._above[item] = self._above[self._above[item]]
            item = self._above[item]
        return item

    def join(self, first: int, second: int) -> None:
        """Make one group of two; the smaller position stands for it."""
        low, high = sorted((self.find(first), self.find(second)))
        self._above[high] = low

    def members(self) -> list[list[int]]:
        """All groups of two and more, members in order, groups in the order of their first member."""
        gathered: dict[int, list[int]] = {}
        for item in range(len(self._above)):
            gathered.setdefault(self.find(item), []).append(item)
        return [group for group in gathered.values() if len(group) > 1]


def grouped(n: int, joins: Iterable[Sequence[int]]) -> Groups:
    """Groups of n positions of which each entry of `joins` belongs together."""
    groups = Groups(n)
    for first, *others in joins:
        for other in others:
            groups.join(first, other)
    return groups


_LOOKED_UP = 8 * len(ZOOMS)


def _candidates(pictures: np.ndarray, progress: Progress | None) -> list[tuple[int, int, int]]:
    """(first, second, turn of the second that fits best), the most alike first."""
    if not len(pictures):
        return []
    greys = np.array([cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in pictures])
    # Blank pictures have one hash: a thousand of them would be a million pairs.
    lively = np.flatnonzero(greys.reshape(len(greys), -1).std(axis=1) >= FLAT)
    if not len(lively):
        return []
    known = greys[lively]
    index, coarse = hashes(known), _coarse(known)
    best: dict[tuple[int, int], tuple[float, int, int, int]] = {}
    for step, (zoom, turn) in enumerate((z, t) for z in ZOOMS for t in range(8)):
        if turn == 0:
            asked = _zoomed(known, zoom)
            detail = _coarse(asked).reshape(-1, _COARSE, _COARSE, 1)
        queries, hits = within(hashes(turned(asked[..., None], turn)[..., 0]), index, RADIUS)
        queries, hits = queries[queries != hits], hits[queries != hits]
        likeness = _paired(turned(detail, turn).reshape(coarse.shape), coarse, queries, hits)
        for at in np.flatnonzero(likeness >= LIKELY).tolist():
            query, hit, value = int(lively[queries[at]]), int(lively[hits[at]]), float(likeness[at])
            pair = (min(query, hit), max(query, hit))
            best[pair] = max(best.get(pair, (0.0, 0, 0, 0)), (value, hit, query, turn))
        if progress is not None:
            progress(step + 1, 2 * _LOOKED_UP)
    return [(first, second, turn) for _, first, second, turn in sorted(best.values(), key=lambda b: (-b[0], b[1:]))]


def _zoomed(greys: Greys, zoom: float) -> Greys:
    if zoom == 1.0:
        return greys
    side = greys.shape[1]
    offset = (1 - zoom) * (side - 1) / 2
    matrix = np.array([[zoom, 0, offset], [0, zoom, offset]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.array([cv2.warpAffine(g, matrix, (side, side), flags=flags) for g in greys])


def _coarse(greys: Greys) -> Float[np.ndarray, "pictures detail"]:
    """Detail of grey pictures at 16 x 16 px, each row of length 1."""
    out = np.empty((len(greys), _COARSE * _COARSE), np.float32)
    for row, grey in enumerate(greys):
        out[row] = cv2.resize(_detail(grey, 3.0), (_COARSE, _COARSE), interpolation=cv2.INTER_AREA).ravel()
    out -= out.mean(axis=1, keepdims=True)
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-6)


def _paired(
    left: np.ndarray, right: np.ndarray, rows: Int[np.ndarray, " pairs"], columns: Int[np.ndarray, " pairs"]
) -> Float[np.ndarray, " pairs"]:
    out = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), 1 << 15):
        part = slice(start, start + (1 << 15))
        out[part] = np.einsum("pd,pd->p", left[rows[part]], right[columns[part]])
    return out


def _aligned(first: np.ndarray, second: np.ndarray) -> np.ndarray | None:
    """Affine matrix from pixels of the first to pixels of the second; None where none is found or it is far off."""
    own, other = (_detail(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY), 4.0) for p in (first, second))
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-5)
    matrix = np.eye(2, 3, dtype=np.float32)
    try:
        for blur in (5, 3):
            _, matrix = cv2.findTransformECC(own, other, matrix, cv2.MOTION_AFFINE, stop, None, blur)
    except cv2.error:  # it did not converge: these are two pictures
        return None
    return matrix if 0.6 < abs(np.linalg.det(matrix[:, :2])) < 1 / 0.6 else None


def _detail(picture: np.ndarray, reach: float) -> np.ndarray:
    """A picture less its shading: what a Gaussian of `reach` px leaves over."""
    values = picture.astype(np.float32)
    return values - cv2.GaussianBlur(values, (0, 0), reach, borderType=cv2.BORDER_REFLECT)


def _agreement(first: np.ndarray, second: np.ndarray, where: np.ndarray) -> tuple[float, float]:
    detail = _correlation(*(_detail(p, 2.0)[where] for p in (first, second)))
    colours = (p[where].astype(np.float32) for p in (first, second))
    return detail, _correlation(*(c - c.mean(axis=0) for c in colours))


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    a, b = first - first.mean(), second - second.mean()
    return float((a * b).sum() / max(np.sqrt((a * a).sum() * (b * b).sum()), 1e-6))
