"""Prior shift, priors of public data sets, and priors estimated from images without labels."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.linear_model import LogisticRegression

from dermoscope.core.errors import InputError, ValueRuleError
from dermoscope.core.probabilities import Prior, Probabilities
from dermoscope.core.taxonomy import ISIC2018, ISIC2019, Diagnosis, Taxonomy
from dermoscope.refine.calibrate import fit_bias_corrected, softmax
from dermoscope.refine.prior import NAMES, SETTINGS, estimate_prior, named_prior, shift_prior

THREE = Taxonomy(
    "three",
    (Diagnosis("A", "first", "malignant"), Diagnosis("B", "second", "benign"), Diagnosis("C", "third", "benign")),
)


def prior(*shares: float) -> Prior:
    return Prior("made", THREE, np.array(shares))


@pytest.fixture
def real_data() -> Path:
    where = os.environ.get("DERMOSCOPE_DATA")
    if not where or not (Path(where) / "isic2019").is_dir():
        pytest.skip("DERMOSCOPE_DATA does not name a folder that holds isic2019: its labels cannot be counted")
    return Path(where)


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


def test_the_mix_of_bcn20000() -> None:
    # 12,413 images of ISIC 2019 are from there (its metadata), no others have AK, BCC, DF, SCC or VASC but HAM10000
    assert sum(SETTINGS["bcn20000"].counts) == 12_413
    rest = [SETTINGS["isic2019"].counts[k] - SETTINGS["ham10000"].counts[k] for k in range(8)]
    assert [rest[k] for k in (2, 3, 5, 6, 7)] == [SETTINGS["bcn20000"].counts[k] for k in (2, 3, 5, 6, 7)]


def test_the_settings_equal_the_labels_of_isic2019(real_data: Path) -> None:
    truth = pd.read_csv(real_data / "isic2019" / "ISIC_2019_Training_GroundTruth.csv", index_col="image")
    about = pd.read_csv(real_data / "isic2019" / "ISIC_2019_Training_Metadata.csv", index_col="image")
    lesions = about.lesion_id.reindex(truth.index).fillna("")
    for name, rows_of in (("isic2019", ""), ("ham10000", "HAM"), ("bcn20000", "BCN")):
        counted = truth.loc[lesions.str.startswith(rows_of), list(ISIC2019.codes)].sum()
        assert tuple(counted.astype(int)) == SETTINGS[name].counts


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
    first, *listed = str(caught.value).splitlines()
    assert first == (
        "no prior 'vienna'; there are calibration, uniform, training, estimate, ham10000, bcn20000, isic2019, "
        "or give a file."
    )
    assert listed == [f"  {name}: {setting.source}" for name, setting in SETTINGS.items()]
    with pytest.raises(InputError, match="prior 'ham10000' is not known for three; give a file with a share of every"):
        named_prior("ham10000", THREE)


CENTRES = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
NATURAL, BALANCED = np.array([0.05, 0.8, 0.15]), np.full(3, 1 / 3)


def drawn(n: int, mix: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points [n, 2] of three normal densities, and which each is from."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, n, p=mix)
    return CENTRES[labels] + rng.normal(size=(n, 2)), labels


def posterior(x: np.ndarray, mix: np.ndarray) -> Probabilities:
    """Known: Bayes' rule with the densities that the points are drawn from."""
    return rows(*map(tuple, softmax(np.log(mix) - ((x[:, None] - CENTRES) ** 2).sum(axis=2) / 2)))


def fitted(mix: np.ndarray, seed: int, x: np.ndarray) -> Probabilities:
    """Of a softmax regression trained on points in this mix."""
    training, labels = drawn(20_000, mix, seed)
    model = LogisticRegression(C=np.inf, max_iter=1000).fit(training, labels)
    return rows(*map(tuple, model.predict_proba(x)))


def test_known_posteriors_of_two_worlds_become_one() -> None:
    x, _ = drawn(500, NATURAL, 0)
    natural, balanced = posterior(x, NATURAL), posterior(x, BALANCED)
    assert np.abs(natural.values - balanced.values).max() > 0.5
    target = prior(0.3, 0.6, 0.1)
    one = shift_prior(natural, prior(*NATURAL), target)
    other = shift_prior(balanced, prior(*BALANCED), target)
    np.testing.assert_allclose(one.values, other.values, atol=1e-12)
    np.testing.assert_allclose(one.values, posterior(x, target.values).values, atol=1e-12)


def test_training_with_and_without_balancing_gives_the_same_shifted_probabilities() -> None:
    x, _ = drawn(2000, NATURAL, 1)
    natural, balanced = fitted(NATURAL, 2, x), fitted(BALANCED, 3, x)
    assert np.abs(natural.values - balanced.values).max() > 0.5
    for target in (Prior.uniform(THREE), prior(0.3, 0.6, 0.1)):
        one = shift_prior(natural, prior(*NATURAL), target)
        other = shift_prior(balanced, prior(*BALANCED), target)
        assert np.abs(one.values - other.values).max() < 0.06
        assert np.abs(one.values - posterior(x, target.values).values).max() < 0.06


def test_so_does_calibrating_both_on_the_natural_mix_first() -> None:
    held, labels = drawn(6000, NATURAL, 4)
    x, _ = drawn(2000, NATURAL, 5)
    shifted = []
    for mix, seed in ((NATURAL, 2), (BALANCED, 3)):
        calibration = fit_bias_corrected(fitted(mix, seed, held), labels, np.log(NATURAL / mix))
        calibrated = calibration.apply(fitted(mix, seed, x))
        assert np.abs(calibrated.values - posterior(x, NATURAL).values).max() < 0.1
        shifted.append(shift_prior(calibrated, prior(*NATURAL), Prior.uniform(THREE)).values)
    assert np.abs(shifted[0] - shifted[1]).max() < 0.1


@given(st.lists(shares, min_size=1, max_size=5), shares)
def test_shifting_to_the_calibration_prior_is_the_identity(given_rows: list[np.ndarray], source: np.ndarray) -> None:
    p = rows(*(tuple(row) for row in given_rows))
    np.testing.assert_allclose(shift_prior(p, prior(*source), prior(*source)).values, p.values, rtol=1e-12)


@pytest.mark.parametrize("mix", [(0.05, 0.8, 0.15), (1 / 3, 1 / 3, 1 / 3), (0.7, 0.1, 0.2)])
def test_an_unknown_mix_is_recovered(mix: tuple[float, ...]) -> None:
    x, labels = drawn(4000, np.array(mix), 6)
    found = estimate_prior(posterior(x, NATURAL), prior(*NATURAL))
    assert found.converged
    assert found.prior.name == "estimated from 4000 images"
    np.testing.assert_allclose(found.prior.values, np.bincount(labels) / 4000, atol=0.02)
    for column, code in enumerate(THREE.codes):
        share = found.shares[code]
        assert (share.method, share.unit, share.n) == ("bootstrap", "image", 4000)
        assert share.low is not None
        assert share.high is not None
        assert share.low < mix[column] < share.high
        assert share.high - share.low < 0.08


def test_the_estimate_is_the_likeliest_mix() -> None:
    x, _ = drawn(400, np.array([0.5, 0.3, 0.2]), 7)
    p = posterior(x, BALANCED)
    found = estimate_prior(p, prior(*BALANCED), resamples=0).prior.values

    def likelihood(mix: np.ndarray) -> float:
        return float(np.log((p.values / BALANCED) @ mix).sum() + (BALANCED * np.log(mix)).sum())

    best = likelihood(found)
    for other in np.random.default_rng(0).dirichlet(np.ones(3), 200):
        assert likelihood(other) <= best + 1e-6


def test_intervals_hold_the_true_share_as_often_as_they_say() -> None:
    mix = np.array([0.2, 0.5, 0.3])
    held = 0
    for seed in range(60):
        x, _ = drawn(300, mix, seed)
        share = estimate_prior(posterior(x, NATURAL), prior(*NATURAL), seed=seed).shares["A"]
        assert share.low is not None
        assert share.high is not None
        held += share.low <= mix[0] <= share.high
    assert held >= 50  # 57 of 60 are expected


def test_the_order_of_images_does_not_matter_and_the_seed_decides() -> None:
    x, _ = drawn(150, NATURAL, 8)
    p = posterior(x, BALANCED)
    turned = Probabilities(p.ids, THREE, p.values[::-1])
    one, other = (estimate_prior(q, prior(*BALANCED), resamples=20) for q in (p, turned))
    np.testing.assert_allclose(one.prior.values, other.prior.values, atol=1e-9)
    assert estimate_prior(p, prior(*BALANCED), resamples=20).shares == one.shares
    assert one.shares["A"].value == pytest.approx(one.prior.values[0])


def test_an_absent_diagnosis_keeps_a_share_above_zero() -> None:
    x, _ = drawn(300, np.array([0.0, 0.6, 0.4]), 9)
    far = x + 6 * (x - CENTRES[0]) / np.linalg.norm(x - CENTRES[0], axis=1, keepdims=True)
    found = estimate_prior(posterior(far, BALANCED), prior(*BALANCED), resamples=5)
    assert 0 < found.prior.values[0] < 0.01


def test_an_estimate_that_does_not_settle_says_so() -> None:
    x, _ = drawn(200, NATURAL, 10)
    found = estimate_prior(posterior(x, BALANCED), prior(*BALANCED), resamples=0, most=2)
    assert (found.converged, found.iterations) == (False, 2)
    assert found.shares["A"].low is None


def test_too_few_images_for_an_estimate() -> None:
    p = posterior(drawn(99, NATURAL, 11)[0], NATURAL)
    with pytest.raises(ValueRuleError) as caught:
        estimate_prior(p, prior(*NATURAL))
    assert str(caught.value) == (
        "a prior cannot be estimated from 99 images: give at least 100, or a prior by name or file"
    )
    assert estimate_prior(p, prior(*NATURAL), at_least=99, resamples=0).converged
    with pytest.raises(ValueRuleError, match="cannot shift three from a prior over isic2019"):
        estimate_prior(p, Prior.uniform(ISIC2019), at_least=1)
