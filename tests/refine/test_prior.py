"""Prior shift and priors of public data sets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dermoscope.core.errors import InputError, ValueRuleError
from dermoscope.core.probabilities import Prior, Probabilities
from dermoscope.core.taxonomy import ISIC2018, ISIC2019, Diagnosis, Taxonomy
from dermoscope.refine.prior import NAMES, named_prior, shift_prior

THREE = Taxonomy(
    "three",
    (Diagnosis("A", "first", "malignant"), Diagnosis("B", "second", "benign"), Diagnosis("C", "third", "benign")),
)


def prior(*shares: float) -> Prior:
    return Prior("made", THREE, np.array(shares))


def rows(*values: tuple[float, ...]) -> Probabilities:
    return Probabilities(tuple(f"case{k}" for k in range(len(values))), THREE, np.array(values))


def test_shift_by_hand() -> None:
    # weights t/s are 5, 1, 0.5 -> 0.5, 0.3, 0.3 -> divided by 1.1
    found = shift_prior(rows((0.1, 0.3, 0.6)), prior(0.1, 0.3, 0.6), prior(0.5, 0.2, 0.3))
    np.testing.assert_allclose(found.values, [[0.5, 0.2, 0.3]])
    found = shift_prior(rows((0.1, 0.3, 0.6)), prior(0.1, 0.3, 0.6), prior(0.5, 0.3, 0.2))
    np.testing.assert_allclose(found.values, [[0.5, 0.3, 0.2]])
    found = shift_prior(rows((0.2, 0.3, 0.5)), prior(0.1, 0.4, 0.5), prior(0.5, 0.4, 0.1))
    np.testing.assert_allclose(found.values, np.array([[1.0, 0.3, 0.1]]) / 1.4)


def test_a_uniform_target_is_the_inverse_frequency_correction_of_steppan() -> None:
    counts = np.array([1113.0, 6705.0, 514.0])
    p = np.array([[0.2, 0.7, 0.1], [0.01, 0.98, 0.01]])
    w = 1 / counts
    expected = p * w / (p * w).sum(axis=1, keepdims=True)
    found = shift_prior(rows(*map(tuple, p)), Prior.from_counts("t", THREE, counts), Prior.uniform(THREE))
    np.testing.assert_allclose(found.values, expected, rtol=1e-12)


shares = arrays(np.float64, 3, elements=st.floats(0.001, 1)).map(lambda v: v / v.sum())


@given(st.lists(shares, min_size=1, max_size=5), shares, shares)
def test_there_and_back_is_the_identity(given_rows: list[np.ndarray], source: np.ndarray, target: np.ndarray) -> None:
    p = rows(*(tuple(row) for row in given_rows))
    here, there = prior(*source), prior(*target)
    shifted = shift_prior(p, here, there)
    np.testing.assert_allclose(shifted.values.sum(axis=1), 1)
    np.testing.assert_allclose(shift_prior(shifted, there, here).values, p.values, rtol=1e-9)


@given(shares, shares)
def test_what_becomes_more_common_becomes_more_probable(source: np.ndarray, target: np.ndarray) -> None:
    p = rows((0.2, 0.3, 0.5))
    shifted = shift_prior(p, prior(*source), prior(*target)).values[0]
    ratio = target / source
    assert shifted[ratio.argmax()] >= p.values[0, ratio.argmax()] - 1e-12
    assert shifted[ratio.argmin()] <= p.values[0, ratio.argmin()] + 1e-12


def test_certainty_survives_every_shift() -> None:
    found = shift_prior(rows((1.0, 0.0, 0.0)), prior(0.001, 0.001, 0.998), prior(0.998, 0.001, 0.001))
    assert found.values.tolist() == [[1.0, 0.0, 0.0]]


def test_no_rows_stay_no_rows() -> None:
    empty = Probabilities((), THREE, np.zeros((0, 3)))
    assert len(shift_prior(empty, prior(0.1, 0.3, 0.6), Prior.uniform(THREE))) == 0


def test_three_taxonomies_must_be_one() -> None:
    with pytest.raises(ValueRuleError, match="cannot shift three from a prior over three to one over isic2019"):
        shift_prior(rows((0.2, 0.3, 0.5)), prior(0.1, 0.4, 0.5), Prior.uniform(ISIC2019))


def test_the_mix_of_ham10000() -> None:
    found = named_prior("ham10000", ISIC2019)
    assert found.name == "ham10000"
    # 10,015 images in all, 6,705 of them nevi (Tschandl 2018, table 1)
    assert found.values[ISIC2019.index("NV")] == pytest.approx(6705 / 10_015)
    coarse = named_prior("ham10000", ISIC2018)
    # AKIEC has 327 images there
    assert coarse.values[ISIC2018.index("AKIEC")] == pytest.approx(327 / 10_015)


@pytest.mark.parametrize("name", NAMES)
def test_every_named_prior_speaks_of_both_challenges(name: str) -> None:
    assert named_prior(name, ISIC2019).values.sum() == pytest.approx(1)
    assert named_prior(name, ISIC2018).taxonomy == ISIC2018


def test_unknown_names_and_taxonomies() -> None:
    with pytest.raises(InputError) as caught:
        named_prior("vienna", ISIC2019)
    assert str(caught.value) == (
        "no prior 'vienna'; there are calibration, uniform, training, ham10000, isic2019, or give a file"
    )
    with pytest.raises(InputError, match="prior 'ham10000' is not known for three; give a file with a share of every"):
        named_prior("ham10000", THREE)
