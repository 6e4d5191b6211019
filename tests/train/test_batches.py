"""What is drawn, which copy of it, and in which batches."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.taxonomy import ISIC2019
from dermoscope.train.augment import Augmentation
from dermoscope.train.batches import Batches, Part, TrainingPictures, _systematic, plain
from dermoscope.train.pictures import Pictures

SIDE = 24


def made(diagnoses: list[str], copies: list[int]) -> TrainingPictures:
    """Cases whose copy k of case c is a flat picture of the value 10 c + k (modulo 251)."""
    cases = CaseSet(tuple(Case(f"i{k}", diagnosis=d) for k, d in enumerate(diagnoses)), ISIC2019)
    values = [(10 * c + k) % 251 for c, n in enumerate(copies) for k in range(n)]
    flat = np.repeat(np.array(values, np.uint8), SIDE * SIDE * 3)
    starts = np.arange(len(values)) * SIDE * SIDE * 3
    pictures = Pictures(flat, starts, np.full((len(values), 2), SIDE), "made")
    return TrainingPictures(cases, pictures, np.concatenate([[0], np.cumsum(copies)[:-1]]), np.array(copies))


def test_draw_shares_by_hand() -> None:
    data = made(["MEL", "NV", "NV", "NV", "NV"], [1] * 5)
    np.testing.assert_allclose(data.draw_shares(0.0), 0.2)
    np.testing.assert_allclose(data.draw_shares(1.0), [0.5, 0.125, 0.125, 0.125, 0.125])
    # n^(1-b): 1 and 2 for one and four cases at b = 0.5
    np.testing.assert_allclose(data.draw_shares(0.5), np.array([1, 0.5, 0.5, 0.5, 0.5]) / 3)


@pytest.mark.parametrize("balance", [0.0, 0.4, 1.0])
def test_the_sampling_prior_is_the_sum_of_the_shares(balance: float) -> None:
    data = made(["MEL"] * 2 + ["NV"] * 7 + ["DF"], [1] * 10)
    found = data.sampling_prior(balance)
    expected = np.bincount(data.labels, data.draw_shares(balance), minlength=len(ISIC2019))
    np.testing.assert_allclose(found, expected)
    assert found[ISIC2019.index("SCC")] == 0


def test_the_sharp_copy_says_nothing_about_the_diagnosis() -> None:
    # melanomas have a sharp copy in 80 %, nevi in 20 %, dermatofibromas in none
    diagnoses = ["MEL"] * 100 + ["NV"] * 300 + ["DF"] * 20
    copies = [2] * 80 + [1] * 20 + [2] * 60 + [1] * 240 + [1] * 20
    data = made(diagnoses, copies)
    preferred = data.preferred_shares()
    drawn = np.random.default_rng(0).random((4000, len(preferred))) < preferred
    sharp = drawn & (data.copies > 1)
    for code in ("MEL", "NV"):
        assert sharp[:, data.labels == ISIC2019.index(code)].mean() == pytest.approx(0.2, abs=0.005)
    assert preferred[100:160].tolist() == [1.0] * 60  # where they are rarest they are always taken


def test_without_second_copies_the_only_one_is_drawn() -> None:
    assert made(["MEL", "NV"], [1, 1]).preferred_shares().tolist() == [1, 1]


shares = st.lists(st.floats(0.01, 1), min_size=1, max_size=40).map(lambda v: np.array(v) / np.sum(v))


@given(shares, st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_systematic_draws_hit_floor_or_ceiling(share: np.ndarray, draws: int, seed: int) -> None:
    drawn = _systematic(share, draws, np.random.default_rng(seed))
    assert len(drawn) == draws
    counts = np.bincount(drawn, minlength=len(share))
    assert (counts >= np.floor(share * draws - 1e-9)).all()
    assert (counts <= np.ceil(share * draws + 1e-9)).all()


def test_batches_are_the_same_for_the_same_epoch_and_others_for_the_next() -> None:
    data = made(["MEL", "NV", "BCC", "AK"] * 5, [1] * 20)
    batches = Batches(data, 8, 0.5, Augmentation(), seed=3)
    assert len(batches) == 2
    first, again, later = list(batches.epoch(0, 32)), list(batches.epoch(0, 32)), list(batches.epoch(1, 32))
    for one, two in zip(first, again, strict=True):
        assert one.pictures.shape == (8, 32, 32, 3)
        assert one.pictures.dtype == np.uint8
        assert one.mix is None
        np.testing.assert_array_equal(one.pictures, two.pictures)
        np.testing.assert_array_equal(one.labels, two.labels)
    assert any((one.pictures != two.pictures).any() for one, two in zip(first, later, strict=True))


def test_an_epoch_goes_on_in_the_middle() -> None:
    batches = Batches(made(["MEL", "NV", "BCC", "AK"] * 5, [1] * 20), 4, 0.5, Augmentation(), seed=3)
    whole, rest = list(batches.epoch(2, 32, mixup=0.4)), list(batches.epoch(2, 32, Part(first=3), mixup=0.4))
    assert len(rest) == len(whole) - 3 == 2
    for one, two in zip(whole[3:], rest, strict=True):
        np.testing.assert_array_equal(one.pictures, two.pictures)
        assert one.mix is not None
        assert two.mix is not None
        assert one.mix.share == two.mix.share
        np.testing.assert_array_equal(one.mix.pictures, two.mix.pictures)
        np.testing.assert_array_equal(one.mix.labels, two.mix.labels)


def test_processes_share_a_batch_without_changing_it() -> None:
    batches = Batches(made(["MEL", "NV", "BCC", "AK"] * 5, [1] * 20), 6, 0.5, Augmentation(), seed=3)
    whole = list(batches.epoch(1, 32, mixup=0.4))
    shares = [list(batches.epoch(1, 32, Part(index=k, count=3), mixup=0.4)) for k in range(3)]
    for number, batch in enumerate(whole):
        for k in range(3):
            mine = shares[k][number]
            np.testing.assert_array_equal(mine.pictures, batch.pictures[k::3])
            np.testing.assert_array_equal(mine.labels, batch.labels[k::3])
            assert mine.mix is not None
            assert batch.mix is not None
            assert mine.mix.share == batch.mix.share
            np.testing.assert_array_equal(mine.mix.pictures, batch.mix.pictures[k::3])
            np.testing.assert_array_equal(mine.mix.labels, batch.mix.labels[k::3])


def test_what_is_laid_over_a_batch_is_the_batch_in_another_order() -> None:
    batches = Batches(made(["MEL", "NV", "BCC", "AK"] * 5, [1] * 20), 10, 0.5, Augmentation(), seed=3)
    for batch in batches.epoch(0, 16, mixup=0.4):
        assert batch.mix is not None
        assert 0 <= batch.mix.share <= 1
        own, over = batch.pictures.sum(axis=(1, 2, 3)), batch.mix.pictures.sum(axis=(1, 2, 3))
        assert sorted(own.tolist()) == sorted(over.tolist())
        assert own.tolist() != over.tolist()


def test_labels_belong_to_their_pictures_and_every_copy_has_its_turn() -> None:
    # half of the melanomas have a sharp copy, so half of the draws of the carcinoma leave its own aside
    data = made(["MEL", "MEL", "NV", "BCC", "AK"], [3, 1, 1, 3, 1])
    quiet = Augmentation(brightness=0, contrast=0, saturation=0, hue=0, gain=0, cutout_p=0, jpeg_p=0)
    seen: dict[str, set[int]] = {}
    for epoch in range(30):
        for batch in Batches(data, 5, 0.0, quiet, seed=0).epoch(epoch, 16):
            for picture, label in zip(batch.pictures, batch.labels, strict=True):
                seen.setdefault(ISIC2019.codes[label], set()).add(int(picture[8, 8, 0]))
    assert seen == {"MEL": {0, 10}, "NV": {20}, "BCC": {30, 31, 32}, "AK": {40}}


def test_fewer_cases_than_a_batch_fill_one() -> None:
    batches = Batches(made(["MEL", "NV"], [1, 1]), 8, 1.0, Augmentation(), seed=0)
    (batch,) = batches.epoch(0, 16)
    assert len(batch.pictures) == 8
    assert sorted(np.bincount(batch.labels).tolist()) == [4, 4]


def test_an_abandoned_epoch_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    batches = Batches(made(["MEL", "NV"] * 40, [1] * 80), 4, 0.0, Augmentation(), seed=0)
    epoch = batches.epoch(0, 16)
    next(epoch)
    assert threading.active_count() > before
    epoch.close()
    assert threading.active_count() == before


def test_plain_cuts_without_randomness() -> None:
    data = made(["MEL", "NV"], [1, 1])
    found = plain(data.pictures, np.array([1, 0]), 16)
    assert found.shape == (2, 16, 16, 3)
    assert found[:, 0, 0, 0].tolist() == [10, 0]
