"""From decoded pictures to batches: what is drawn, which copy of it, and how it is varied.

Everything is drawn from (seed, epoch, position), so that a run that was cut and resumed sees the same batches,
and so do several processes that share them.
"""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from dermoscope.core.cases import CaseSet
from dermoscope.data.crop import CENTRED, Frame, frame_matrix, warp
from dermoscope.train.augment import Augmentation, augment
from dermoscope.train.pictures import Pictures


@dataclass(frozen=True, eq=False)
class Mix:
    """What is laid over a batch (mixup, Zhang et al. 2018): `share` of the pictures themselves, the rest of these."""

    share: float
    pictures: UInt8[np.ndarray, "batch size size 3"]
    labels: Int[np.ndarray, " batch"]
    held: Bool[np.ndarray, "batch diagnoses"] | None = None


@dataclass(frozen=True, eq=False)
class Batch:
    """Pictures, the column of their diagnosis, and which diagnoses their sources can hold (None: all)."""

    pictures: UInt8[np.ndarray, "batch size size 3"]
    labels: Int[np.ndarray, " batch"]
    mix: Mix | None = None
    held: Bool[np.ndarray, "batch diagnoses"] | None = None


@dataclass(frozen=True)
class Part:
    """Which part of an epoch is read: from batch `first` on, every `count`-th picture of a batch from `index` on."""

    first: int = 0
    index: int = 0
    count: int = 1


WHOLE = Part()


@dataclass(frozen=True, eq=False)
class TrainingPictures:
    """Cases with a diagnosis and their decoded copies: picture `first[c] + k` is copy k of case c (0: preferred)."""

    cases: CaseSet
    pictures: Pictures
    first: Int[np.ndarray, " cases"]
    copies: Int[np.ndarray, " cases"]

    @cached_property
    def labels(self) -> Int[np.ndarray, " cases"]:
        """Diagnosis of each case as a column of the taxonomy."""
        return self.cases.labels

    def draw_shares(self, balance: float) -> Float[np.ndarray, " cases"]:
        """Probability of each case to be drawn: a diagnosis with n images in proportion to n^(1-balance)."""
        counts = np.bincount(self.labels, minlength=len(self.cases.taxonomy))
        weight = counts[self.labels].astype(float) ** -balance
        return weight / weight.sum()

    @cached_property
    def held(self) -> Bool[np.ndarray, "cases diagnoses"] | None:
        """Which diagnoses the source of each case can hold; None where every source can hold all."""
        held = self.cases.held
        return None if held.all() else held

    def sampling_prior(self, balance: float, *, masked: bool = False) -> Float[np.ndarray, " diagnoses"]:
        """Share of each diagnosis among the pictures that training draws; 0 for one without cases.

        With `masked`, sources that hold only some diagnoses do not count, where there are others: under a softmax that
        is restricted to what they hold they say nothing of how common the rest is.
        """
        shares = self.draw_shares(balance)
        if masked and self.held is not None and self.held.all(axis=1).any():
            shares = shares * self.held.all(axis=1)
        return np.bincount(self.labels, shares / shares.sum(), minlength=len(self.cases.taxonomy))

    def preferred_shares(self) -> Float[np.ndarray, " cases"]:
        """Probability that the preferred copy of a case is used, so that it says nothing about the diagnosis.

        Where a share f_c of the images of diagnosis c has a sharper copy, that copy is drawn with min(f) / f_c: then
        sharp pictures are equally common in every diagnosis that has any. Sources without sharper copies do not count.
        """
        several = self.copies > 1
        sources = np.array([c.source or "" for c in self.cases])
        counted = np.isin(sources, np.unique(sources[several]))
        shares = np.array(
            [
                several[counted & (self.labels == c)].mean() if (counted & (self.labels == c)).any() else 0.0
                for c in range(self.labels.max() + 1)
            ]
        )
        held = shares[shares > 0]
        if not held.size:
            return np.ones(len(self.labels))
        out = np.ones(len(self.labels))
        out[several] = held.min() / shares[self.labels[several]]
        return out


@dataclass(frozen=True, eq=False)
class Batches:
    """Random batches of one epoch after the other; with `masked` they say what the sources can hold."""

    source: TrainingPictures
    batch: int
    balance: float
    augmentation: Augmentation
    seed: int
    masked: bool = True

    def __len__(self) -> int:
        return max(1, len(self.source.cases) // self.batch)

    def epoch(self, epoch: int, size: int, part: Part = WHOLE, mixup: float = 0.0) -> Iterator[Batch]:
        """The batches of one epoch (as many draws as there are cases), cut to `size` px; `mixup` is its alpha."""
        picked, labels, held = self._drawn(epoch)

        def one(position: int) -> np.ndarray:
            own = np.random.default_rng([self.seed, epoch, position])
            return augment(self.source.pictures[picked[position]], size, self.augmentation, own)

        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            waiting: deque[tuple[dict[int, Future[np.ndarray]], np.ndarray, np.ndarray, float]] = deque()
            for number in range(part.first, len(self)):
                rows, others, share = self._rows(epoch, number, part, mixup)
                needed = {int(r): pool.submit(one, int(r)) for r in dict.fromkeys([*rows, *others])}
                waiting.append((needed, rows, others, share))
                if len(waiting) > 4:
                    yield _gathered(labels, held, *waiting.popleft())
            while waiting:
                yield _gathered(labels, held, *waiting.popleft())

    def _drawn(self, epoch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Picture and label of every position of an epoch, and what its source can hold."""
        rng = np.random.default_rng([self.seed, epoch])
        drawn = _systematic(self.source.draw_shares(self.balance), len(self) * self.batch, rng)
        preferred = rng.random(len(drawn)) < self.source.preferred_shares()[drawn]
        other = rng.integers(1, np.maximum(2, self.source.copies[drawn]))
        copy = np.where(preferred | (self.source.copies[drawn] < 2), 0, other)
        held = self.source.held[drawn] if self.masked and self.source.held is not None else None
        return self.source.first[drawn] + copy, self.source.labels[drawn], held

    def _rows(self, epoch: int, number: int, part: Part, mixup: float) -> tuple[np.ndarray, np.ndarray, float]:
        """Positions of a batch that are read here, those laid over them (none without mixup), and the share."""
        whole = np.arange(number * self.batch, (number + 1) * self.batch)
        rows = whole[part.index :: part.count]
        if mixup <= 0:
            return rows, whole[:0], 1.0
        rng = np.random.default_rng([self.seed, epoch, number, 1])
        share = float(rng.beta(mixup, mixup))
        return rows, rng.permutation(whole)[part.index :: part.count], share


def _gathered(
    labels: np.ndarray,
    held: np.ndarray | None,
    pictures: dict[int, Future[np.ndarray]],
    rows: np.ndarray,
    others: np.ndarray,
    share: float,
) -> Batch:
    def stacked(positions: np.ndarray) -> np.ndarray:
        return np.stack([pictures[int(p)].result() for p in positions])

    def allowed(positions: np.ndarray) -> np.ndarray | None:
        return None if held is None else held[positions]

    mix = Mix(share, stacked(others), labels[others], allowed(others)) if len(others) else None
    return Batch(stacked(rows), labels[rows], mix, allowed(rows))


def _systematic(shares: Float[np.ndarray, " cases"], draws: int, rng: np.random.Generator) -> np.ndarray:
    """Systematic sampling: every case appears floor or ceil of its expected times, in random order."""
    order = rng.permutation(len(shares))
    points = (np.arange(draws) + rng.random()) / draws
    drawn = order[np.minimum(np.searchsorted(np.cumsum(shares[order]), points), len(shares) - 1)]
    return rng.permutation(drawn)


def plain(pictures: Pictures, indices: Int[np.ndarray, " n"], size: int, frame: Frame = CENTRED) -> np.ndarray:
    """Pictures cut without randomness, [n, size, size, 3]."""

    def one(index: int) -> np.ndarray:
        pixels = pictures[index]
        return warp(pixels, frame_matrix(pixels.shape[:2], size, frame), size)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return np.stack(list(pool.map(one, indices)))
