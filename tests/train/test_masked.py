"""The softmax restricted to what a source can hold."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.taxonomy import ISIC2019
from dermoscope.train.augment import Augmentation
from dermoscope.train.batches import Batches, TrainingPictures
from dermoscope.train.loop import cross_entropy
from dermoscope.train.pictures import Pictures

FEW = frozenset({"MEL", "NV", "BKL"})
HELD = torch.tensor([code in FEW for code in ISIC2019.codes])


def two_sources() -> TrainingPictures:
    """24 cases: each diagnosis twice at the clinic, melanoma and nevus four times each at a source of three."""
    clinic = [Case(f"c{k}", diagnosis=ISIC2019.codes[k % 8], source="clinic") for k in range(16)]
    other = [Case(f"o{k}", diagnosis=("MEL", "NV")[k % 2], source="other") for k in range(8)]
    cases = CaseSet((*clinic, *other), ISIC2019, {"other": FEW})
    pictures = Pictures(np.zeros(24 * 300, np.uint8), np.arange(24) * 300, np.full((24, 2), 10), "made")
    return TrainingPictures(cases, pictures, np.arange(24), np.ones(24, int))


def test_by_hand() -> None:
    logits = torch.tensor([[2.0, 1.0, 9.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    expected = -np.log(np.exp(2) / (np.exp(2) + np.exp(1) + np.exp(0)))
    assert float(cross_entropy(logits, torch.tensor([0]), HELD[None])) == pytest.approx(expected, abs=1e-6)


def test_with_smoothing_by_hand() -> None:
    logits = torch.tensor([[2.0, 1.0, 9.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    logs = np.array([2.0, 1.0, 0.0]) - np.log(np.exp(2) + np.exp(1) + np.exp(0))
    expected = -(0.9 * logs[0] + 0.1 * logs.mean())
    assert float(cross_entropy(logits, torch.tensor([0]), HELD[None], 0.1)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_where_everything_is_held_it_is_the_plain_softmax(smoothing: float) -> None:
    logits = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(16) % 8
    everything = torch.ones(16, 8, dtype=torch.bool)
    plain = F.cross_entropy(logits, labels, label_smoothing=smoothing)
    torch.testing.assert_close(cross_entropy(logits, labels, everything, smoothing), plain)


def test_a_source_teaches_nothing_of_what_it_cannot_hold() -> None:
    logits = torch.randn(4, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    cross_entropy(logits, torch.tensor([0, 1, 0, 4]), HELD.expand(4, 8), 0.05).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[:, ~HELD] == 0).all()
    assert (logits.grad[:, HELD] != 0).all()


def test_batches_say_what_the_source_of_each_picture_holds() -> None:
    data = two_sources()
    own = {c.diagnosis for c in data.cases if c.source == "clinic"}
    for batch in Batches(data, 8, 0.0, Augmentation(), seed=0).epoch(0, 16, mixup=0.4):
        assert batch.held is not None
        assert batch.mix is not None
        assert batch.mix.held is not None
        for labels, held in ((batch.labels, batch.held), (batch.mix.labels, batch.mix.held)):
            assert held[np.arange(len(labels)), labels].all()
            assert set(held.sum(axis=1)) <= {3, 8}
    assert own == set(ISIC2019.codes)


@pytest.mark.parametrize("masked", [True, False])
def test_nothing_is_said_where_it_is_not_asked_for_or_not_needed(masked: bool) -> None:
    data = two_sources()
    cases = data.cases if not masked else data.cases.where(lambda c: c.source == "clinic")
    kept = TrainingPictures(cases, data.pictures, np.arange(len(cases)), np.ones(len(cases), int))
    batches = Batches(kept, 8, 0.0, Augmentation(), seed=0, masked=masked)
    assert all(batch.held is None for batch in batches.epoch(0, 16))


def test_the_prior_of_the_draws_leaves_out_sources_that_hold_only_some() -> None:
    data = two_sources()
    np.testing.assert_allclose(data.sampling_prior(0.0, masked=True), 1 / 8)
    plain = data.sampling_prior(0.0)
    assert plain[ISIC2019.index("MEL")] == pytest.approx(6 / 24)
    assert plain.sum() == pytest.approx(1)


def test_sharper_copies_elsewhere_change_nothing_for_the_clinic() -> None:
    data = two_sources()
    copies = np.where([c.source == "clinic" for c in data.cases], np.arange(24) % 2 + 1, 1)
    both = TrainingPictures(data.cases, data.pictures, np.arange(24), copies)
    alone = TrainingPictures(
        data.cases.where(lambda c: c.source == "clinic"), data.pictures, np.arange(16), copies[:16]
    )
    np.testing.assert_allclose(both.preferred_shares()[:16], alone.preferred_shares())
