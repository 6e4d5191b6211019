"""The linear head on embeddings: it finds what can be found, and learns nothing of what a source cannot hold."""

from dataclasses import replace

import numpy as np
import pytest

from dermoscope.core.errors import TrainingError
from dermoscope.train.head import Embedded, linear_head
from dermoscope.train.recipes import QUICK

RECIPE = replace(QUICK, phases=((30, 32),), batch=32, rate=0.05, dropout=0.0)


def three_clouds(count: int = 90) -> Embedded:
    """Two views of cases of three diagnoses, each around a corner of its own."""
    draw = np.random.default_rng(0)
    labels = np.arange(count) % 3
    features = (3 * np.eye(3, 8)[labels] + draw.normal(size=(2, count, 8))).astype(np.float32)
    return Embedded(features, labels, np.full(count, 1 / count))


def test_it_tells_apart_what_lies_apart() -> None:
    data = three_clouds()
    weight, bias = linear_head(RECIPE, data, 3)
    found = (data.features[0] @ weight.T + bias).argmax(axis=1)
    assert (found == data.labels).mean() > 0.95


def test_the_same_seed_gives_the_same_head_and_another_another() -> None:
    data = three_clouds()
    first, again = linear_head(RECIPE, data, 3), linear_head(RECIPE, data, 3)
    np.testing.assert_array_equal(first[0], again[0])
    assert not np.array_equal(first[0], linear_head(replace(RECIPE, seed=1), data, 3)[0])


def test_a_restricted_softmax_keeps_the_rest_as_likely_as_it_was() -> None:
    """Half of the cases come from a source that cannot hold the third diagnosis; plain, that diagnosis becomes rare."""
    data = three_clouds(120)
    few = np.arange(120) >= 60
    keep = ~few | (data.labels < 2)
    features, labels = data.features[:, keep], data.labels[keep]
    held = np.ones((keep.sum(), 3), bool)
    held[few[keep], 2] = False
    shares = np.full(keep.sum(), 1 / keep.sum())
    blank = np.zeros_like(features)
    plain = linear_head(RECIPE, Embedded(blank, labels, shares), 3)[1]
    masked = linear_head(RECIPE, Embedded(blank, labels, shares, held), 3)[1]
    share = np.exp(plain) / np.exp(plain).sum(), np.exp(masked) / np.exp(masked).sum()
    assert share[0][2] == pytest.approx(0.2, abs=0.05)
    assert share[1][2] == pytest.approx(1 / 3, abs=0.05)
    assert len(features) == 2


def test_a_loss_that_is_no_number_says_what_to_do() -> None:
    data = three_clouds()
    broken = replace(data, features=np.full_like(data.features, np.nan))
    with pytest.raises(TrainingError, match=r"the loss became nan in epoch 1; lower the rate \(--set rate=\.\.\.\)"):
        linear_head(RECIPE, broken, 3)
