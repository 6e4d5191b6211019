"""From decoded pictures to batches: what is drawn, which copy of it, and how it is varied.

Everything is drawn from (seed, epoch, position), so that a run that was cut and resumed sees the same batches.
"""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int, UInt8

from dermoscope.core.cases import CaseSet
from dermoscope.data.crop import frame_matrix, warp
from dermoscope.train.augment import Augmentation, augment
from dermoscope.train.pictures import Pictures

Batch = tuple[UInt8[np.ndarray, "batch size size 3"], Int[np.ndarray, " batch"]]


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

    def preferred_shares(self) -> Float[np.ndarray, " cases"]:
        """Probability that the preferred copy of a case is used, so that it says nothing about the diagnosis.

        Where a share f_c of the images of diagnosis c has a sharper copy, that copy is drawn with min(f) / f_c: then
        sharp pictures are equally common in every diagnosis that has any.
        """
        several = self.copies > 1
        shares = np.array(
            [
                several[self.labels == c].mean() if (self.labels == c).any() else 0.0
                for c in range(self.labels.max() + 1)
            ]
        )
        held = shares[shares > 0]
        if not held.size:
            return np.ones(len(self.labels))
        out = np.ones(len(self.labels))
        out[several] = held.min() / shares[self.labels[several]]
        return out


def sampling_prior(labels: Int[np.ndarray, " cases"], diagnoses: int, balance: float) -> np.ndarray:
    """Share of each diagnosis among the pictures that training draws; 0 for one without cases."""
    counts = np.bincount(labels, minlength=diagnoses).astype(float)
    weight = np.where(counts > 0, counts ** (1 - balance), 0.0)
    return weight / weight.sum()


@dataclass(frozen=True, eq=False)
class Batches:
    """Random batches of one epoch after the other."""

    source: TrainingPictures
    batch: int
    balance: float
    augmentation: Augmentation
    seed: int

    def __len__(self) -> int:
        return max(1, len(self.source.cases) // self.batch)

    def epoch(self, epoch: int, size: int) -> Iterator[Batch]:
        """The batches of one epoch (as many draws as there are cases), cut to `size` px."""
        rng = np.random.default_rng([self.seed, epoch])
        drawn = _systematic(self.source.draw_shares(self.balance), len(self) * self.batch, rng)
        preferred = rng.random(len(drawn)) < self.source.preferred_shares()[drawn]
        other = rng.integers(1, np.maximum(2, self.source.copies[drawn]))
        copy = np.where(preferred | (self.source.copies[drawn] < 2), 0, other)
        picked = self.source.first[drawn] + copy

        def one(position: int) -> np.ndarray:
            own = np.random.default_rng([self.seed, epoch, position])
            return augment(self.source.pictures[picked[position]], size, self.augmentation, own)

        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            waiting: deque[tuple[list[Future[np.ndarray]], np.ndarray]] = deque()
            for number in range(len(self)):
                rows = range(number * self.batch, (number + 1) * self.batch)
                waiting.append(([pool.submit(one, r) for r in rows], self.source.labels[drawn[rows]]))
                if len(waiting) > 4:
                    yield _gathered(*waiting.popleft())
            while waiting:
                yield _gathered(*waiting.popleft())


def _gathered(futures: list[Future[np.ndarray]], labels: np.ndarray) -> Batch:
    return np.stack([f.result() for f in futures]), labels


def _systematic(shares: Float[np.ndarray, " cases"], draws: int, rng: np.random.Generator) -> np.ndarray:
    """Systematic sampling: every case appears floor or ceil of its expected times, in random order."""
    order = rng.permutation(len(shares))
    points = (np.arange(draws) + rng.random()) / draws
    drawn = order[np.minimum(np.searchsorted(np.cumsum(shares[order]), points), len(shares) - 1)]
    return rng.permutation(drawn)


def plain(pictures: Pictures, indices: Int[np.ndarray, " n"], size: int, **frame: float | bool) -> np.ndarray:
    """Pictures cut without randomness, [n, size, size, 3]."""

    def one(index: int) -> np.ndarray:
        pixels = pictures[index]
        return warp(pixels, frame_matrix(pixels.shape[:2], size, **frame), size)  # type: ignore[arg-type]

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return np.stack(list(pool.map(one, indices)))
