"""Ways to divide images into folds of the same sizes and the same mix of diagnoses: by lesion, by image, by source.

What is compared must differ in nothing but what may stand on both sides. So the folds of whole lesions are made first,
and the random ones are the same folds with their numbers shuffled among the images of each diagnosis: every fold keeps
how many images of each diagnosis it holds. Where a source is left out, all trainings are thinned to the same number of
images of each diagnosis.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

Rows = Int[np.ndarray, " rows"]
Folds = Int[np.ndarray, " images"]


def lesion_folds(labels: Folds, groups: Sequence[str], count: int, seed: int) -> Folds:
    """Fold of each image, one for all images of a lesion (`groups`), as equal in every diagnosis as lesions allow.

    The lesions of a diagnosis are shuffled and given, those with most images first, to the fold that has fewest images
    of it; where folds are level, to the smallest. A lesion of several diagnoses counts as that of its first image.
    """
    members: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    lesions = list(members.values())
    shuffled = np.random.default_rng(seed).permutation(len(lesions))
    order = sorted(shuffled.tolist(), key=lambda k: -len(lesions[k]))
    held = np.zeros((labels.max() + 1, count), int)
    folds = np.zeros(len(labels), int)
    for k in order:
        own = held[labels[lesions[k][0]]]
        fold = int(np.lexsort((held.sum(axis=0), own))[0])
        own[fold] += len(lesions[k])
        folds[lesions[k]] = fold
    return folds


def image_folds(folds: Folds, labels: Folds, seed: int) -> Folds:
    """`folds` shuffled among the images of each diagnosis: the same sizes and mix, and lesions torn as it comes."""
    rng = np.random.default_rng([seed, 1])
    out = np.empty_like(folds)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        out[rows] = folds[rows][rng.permutation(len(rows))]
    return out


def shared(folds: Folds, groups: Sequence[str]) -> Bool[np.ndarray, " images"]:
    """Which images are tested while another image of their lesion is trained on."""
    seen: dict[str, set[int]] = {}
    for group, fold in zip(groups, folds.tolist(), strict=True):
        seen.setdefault(group, set()).add(fold)
    return np.array([len(seen[group]) > 1 for group in groups])


@dataclass(frozen=True, eq=False)
class Arm:
    """One way to train for the same test images: pairs of training rows and the test rows that they answer for."""

    name: str
    parts: tuple[tuple[Rows, Rows], ...]


ARMS = ("images at random", "whole lesions", "whole source")
"""What is kept on one side: nothing but the image, the lesion, the source."""


def source_arms(
    labels: Folds, groups: Sequence[str], inside: Bool[np.ndarray, " images"], count: int, seed: int
) -> tuple[Arm, ...]:
    """Three ways to train for the images `inside` a source: `ARMS`, all with the same images of each diagnosis.

    Trained on are, of each diagnosis, as many images as the arm with fewest has. The lesions of the source are left out
    of its own arm altogether, even images of them that another source took.
    """
    names = np.array(groups)
    away = np.flatnonzero(~np.isin(names, names[inside]))
    tested = np.flatnonzero(inside)
    whole = lesion_folds(labels, groups, count, seed)
    by_fold = {ARMS[0]: image_folds(whole, labels, seed), ARMS[1]: whole}
    pools = [away, *(np.flatnonzero(folds != fold) for folds in by_fold.values() for fold in range(count))]
    most = np.min([np.bincount(labels[pool], minlength=labels.max() + 1) for pool in pools], axis=0)
    rng = np.random.default_rng([seed, 2])

    def part(pool: Rows, rows: Rows) -> tuple[Rows, Rows]:
        return thinned(pool, labels, most, rng), rows

    arms = [
        Arm(name, tuple(part(np.flatnonzero(folds != f), tested[folds[tested] == f]) for f in range(count)))
        for name, folds in by_fold.items()
    ]
    return (*arms, Arm(ARMS[2], (part(away, tested),)))


def thinned(pool: Rows, labels: Folds, most: Int[np.ndarray, " diagnoses"], rng: np.random.Generator) -> Rows:
    """At most so many rows of each diagnosis, drawn at random, in order."""
    kept = [rng.permutation(pool[labels[pool] == label])[:number] for label, number in enumerate(most)]
    return np.sort(np.concatenate(kept))


def same_test(labels: Folds, groups: Sequence[str], count: int, seed: int) -> tuple[Rows, Arm, Arm]:
    """One random fold of images to test on, and two trainings of one size for it: images at random, whole lesions.

    For networks that are too slow for folds: the second leaves out what shows a lesion of the test, the first as many
    images of each diagnosis at random.
    """
    folds = image_folds(lesion_folds(labels, groups, count, seed), labels, seed)
    tested, rest = np.flatnonzero(folds == 0), np.flatnonzero(folds != 0)
    names = np.array(groups)
    apart = rest[~np.isin(names[rest], names[tested])]
    most = np.bincount(labels[apart], minlength=labels.max() + 1)
    random = thinned(rest, labels, most, np.random.default_rng([seed, 3]))
    return tested, Arm(ARMS[0], ((random, tested),)), Arm(ARMS[1], ((apart, tested),))
