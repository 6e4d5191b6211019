"""Means of members: by hand, their properties, weights and selections whose answer is known."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import gmean

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.probabilities import Probabilities
from dermoscope.core.taxonomy import ISIC2018, ISIC2019, ISIC2019_TO_ISIC2018, Diagnosis, Taxonomy
from dermoscope.refine.calibrate import softmax
from dermoscope.refine.ensemble import KINDS, check_once, combine, combined, fit_weights, greedy, shares_of

THREE = Taxonomy(
    "three",
    (Diagnosis("A", "first", "malignant"), Diagnosis("B", "second", "benign"), Diagnosis("C", "third", "benign")),
)


def rows(values: np.ndarray, taxonomy: Taxonomy = THREE) -> Probabilities:
    return Probabilities(tuple(f"c{k}" for k in range(len(values))), taxonomy, values)


def noisy(n: int, noise: dict[str, float], seed: int = 0) -> tuple[dict[str, Probabilities], np.ndarray]:
    """Members that see one signal, each with its own noise, and labels drawn from the signal."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(0, 2, (n, 3))
    labels = (rng.random(n)[:, None] > softmax(signal).cumsum(axis=1)).sum(axis=1).clip(0, 2)
    return {name: rows(softmax(signal + rng.normal(0, s, (n, 3)))) for name, s in noise.items()}, labels


TWO = np.array([[[0.8, 0.1, 0.1], [0.2, 0.4, 0.4]]])


def test_arithmetic_mean_by_hand() -> None:
    np.testing.assert_allclose(combine(TWO), [[0.5, 0.25, 0.25]])
    np.testing.assert_allclose(combine(TWO, np.array([3.0, 1.0])), [[0.65, 0.175, 0.175]])
    np.testing.assert_allclose(combine(TWO, np.array([0.0, 2.0])), [[0.2, 0.4, 0.4]])


def test_geometric_mean_by_hand() -> None:
    # square roots of .16, .04, .04 are .4, .2, .2
    np.testing.assert_allclose(combine(TWO, kind="geometric"), [[0.5, 0.25, 0.25]])
    # fourth roots of .8^3 * .2 and .1^3 * .4
    found = combine(TWO, np.array([3.0, 1.0]), "geometric")
    expected = np.array([0.1024, 0.0004, 0.0004]) ** 0.25
    np.testing.assert_allclose(found[0], expected / expected.sum())


def test_one_member_that_rules_out_nearly_has_a_veto_in_the_geometric_mean() -> None:
    p = np.array([[[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]]])
    found = combine(p, kind="geometric")
    assert (found > 0).all()
    np.testing.assert_allclose(combine(p), [[0.5, 0.25, 0.25]])


members_of = st.integers(1, 5).flatmap(
    lambda k: arrays(np.float64, (2, k, 3), elements=st.floats(1e-6, 1)).map(lambda v: v / v.sum(axis=2, keepdims=True))
)
kinds = st.sampled_from(sorted(KINDS))


@given(members_of, kinds, st.integers(0, 2**32 - 1), st.floats(0.01, 100))
def test_order_and_scale_of_weights_do_not_matter(p: np.ndarray, kind: str, seed: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.random(p.shape[1]) + 0.01
    order = rng.permutation(p.shape[1])
    found = combine(p, weights, kind)
    np.testing.assert_allclose(combine(p[:, order], weights[order], kind), found, rtol=1e-9)
    np.testing.assert_allclose(combine(p, weights * factor, kind), found, rtol=1e-9)
    np.testing.assert_allclose(found.sum(axis=1), 1)


@given(members_of, kinds)
def test_a_single_member_is_the_identity(p: np.ndarray, kind: str) -> None:
    np.testing.assert_allclose(combine(p[:, :1], kind=kind), p[:, 0], rtol=1e-9)
    only = np.eye(p.shape[1])[0]
    np.testing.assert_allclose(combine(p, only, kind), p[:, 0], rtol=1e-9)
    np.testing.assert_allclose(combine(p[:1], kind=kind), combine(p, kind=kind)[:1], rtol=1e-12)  # one image alone


@given(members_of)
def test_the_means_equal_numpy_and_scipy(p: np.ndarray) -> None:
    np.testing.assert_allclose(combine(p), p.mean(axis=1), rtol=1e-9)
    product = gmean(p, axis=1)
    np.testing.assert_allclose(combine(p, kind="geometric"), product / product.sum(axis=1, keepdims=True), rtol=1e-9)


def test_members_by_name() -> None:
    members = {"b": rows(TWO[:, 1]), "a": rows(TWO[:, 0])}
    found = combined(members)
    assert found.ids == ("c0",)
    np.testing.assert_allclose(found.values, [[0.5, 0.25, 0.25]])
    weighted = combined(members, weights={"a": 3.0, "b": 1.0})
    np.testing.assert_allclose(weighted.values, [[0.65, 0.175, 0.175]])
    np.testing.assert_allclose(combined(members, kind="geometric").values, combine(TWO, kind="geometric"))


def test_a_member_counts_once_unless_a_weight_says_so() -> None:
    p = rows(TWO[:, 0])
    members = {"a": p, "again": rows(TWO[:, 0]), "b": rows(TWO[:, 1])}
    with pytest.raises(ValueRuleError) as caught:
        combined(members)
    assert str(caught.value) == (
        "a and again say the same of every case; a member counts once: leave one out, or give weights"
    )
    twice = combined(members, weights={"a": 1.0, "again": 1.0, "b": 1.0})
    np.testing.assert_allclose(twice.values, combine(TWO, np.array([2.0, 1.0])))
    with pytest.raises(ValueRuleError) as caught:
        check_once({"a": "f00", "b": "bad", "c": "f00"})
    assert str(caught.value) == "a, c are the same member; a member counts once: leave one out, or give weights"
    check_once({"a": "f00", "b": "bad"})


def test_mixed_taxonomies_are_refused_or_projected() -> None:
    wide = rows(np.array([[0.3, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05, 0.1]]), ISIC2019)
    narrow = rows(np.array([[0.1, 0.4, 0.1, 0.2, 0.1, 0.05, 0.05]]), ISIC2018)
    with pytest.raises(ValueRuleError) as caught:
        combined({"wide": wide, "narrow": narrow})
    assert str(caught.value) == "wide is over isic2019, the mean over isic2018; name a merge map onto one"
    found = combined({"wide": wide, "narrow": narrow}, onto=ISIC2019_TO_ISIC2018)
    assert found.taxonomy == ISIC2018
    assert found.column("AKIEC")[0] == pytest.approx(0.2)
    assert found.column("NV")[0] == pytest.approx(0.3)
    with pytest.raises(ValueRuleError) as caught:
        combined({"wide": wide, "other": rows(TWO[:, 0])}, onto=ISIC2019_TO_ISIC2018)
    assert str(caught.value) == "other is over three, the mean over isic2018; the merge map does not start there"


def test_misaligned_ids_are_an_error() -> None:
    values = np.full((2, 3), 1 / 3)
    first = Probabilities(("x", "y"), THREE, values)
    for ids, message in (
        (("y", "x"), "a and b do not hold the same cases: their order differs: use aligned_to"),
        (("x", "z"), "a and b do not hold the same cases: only one of them has y, z"),
    ):
        with pytest.raises(ValueRuleError) as caught:
            combined({"a": first, "b": Probabilities(ids, THREE, values)})
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], "1 weights for 2 members; give one for each of at least one"),
        ([1.0, -1.0], "weights 1.0, -1.0; give numbers from 0 upwards, one of them above 0"),
        ([1.0, np.nan], "weights 1.0, nan; give numbers from 0 upwards, one of them above 0"),
        ([0.0, 0.0], "weights 0.0, 0.0; give numbers from 0 upwards, one of them above 0"),
    ],
)
def test_impossible_weights(weights: list[float], message: str) -> None:
    with pytest.raises(ValueRuleError) as caught:
        shares_of(np.array(weights), 2)
    assert str(caught.value) == message


def test_impossible_means() -> None:
    with pytest.raises(ValueRuleError, match="no mean is called 'median'; there are arithmetic, geometric"):
        combine(TWO, kind="median")
    with pytest.raises(ValueRuleError, match="0 weights for 0 members"):
        combine(TWO[:, :0])
    with pytest.raises(ValueRuleError, match="no member to take the mean of; give at least one"):
        combined({})
    with pytest.raises(ValueRuleError, match="weights of a, c for the members a, b"):
        combined({"a": rows(TWO[:, 0]), "b": rows(TWO[:, 1])}, weights={"a": 1.0, "c": 1.0})
    assert len(combined({"a": rows(np.zeros((0, 3))), "b": rows(np.zeros((0, 3)))})) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_fitted_weights_prefer_the_better_member(kind: str) -> None:
    members, labels = noisy(2000, {"good": 0.5, "fair": 1.5, "poor": 4.0})
    found = fit_weights(members, labels, kind=kind, towards_equal=1.0)
    assert sum(found.weights.values()) == pytest.approx(1)
    assert found.weights["good"] > found.weights["fair"] > found.weights["poor"] > 0
    assert found.log_loss < found.log_loss_equal
    assert found.cases == 2000
    # no other weights do better on these cases, but for the pull towards equal ones
    rng = np.random.default_rng(1)
    for other in rng.dirichlet(np.ones(3), 30):
        mean = combined(members, weights=dict(zip(members, other, strict=True)), kind=kind)
        assert -np.log(mean.values[np.arange(2000), labels]).mean() > found.log_loss - 1e-3
    json.dumps(found.weights)


def test_fitted_weights_are_drawn_towards_equal_ones() -> None:
    members, labels = noisy(100, {"good": 0.5, "poor": 4.0})
    loose = fit_weights(members, labels, towards_equal=0.1).weights
    tight = fit_weights(members, labels, towards_equal=1e5).weights
    assert loose["good"] > 0.8
    assert tight["good"] == pytest.approx(0.5, abs=0.01)
    assert fit_weights({"one": members["good"]}, labels).weights == {"one": 1.0}


def test_weights_fit_the_mixture_of_which_cases_are_drawn() -> None:
    # a case drawn from the first of two constant members with .7 has the labels of a .7 / .3 mixture
    rng = np.random.default_rng(2)
    a, b = np.tile([0.8, 0.1, 0.1], (20_000, 1)), np.tile([0.1, 0.1, 0.8], (20_000, 1))
    labels = rng.choice(3, 20_000, p=0.7 * a[0] + 0.3 * b[0])
    found = fit_weights({"a": rows(a), "b": rows(b)}, labels)
    assert found.weights["a"] == pytest.approx(0.7, abs=0.02)


def test_greedy_selection_by_hand() -> None:
    labels = np.array([0, 0, 1, 1])
    a = rows(np.array([[0.9, 0.1, 0], [0.9, 0.1, 0], [0.6, 0.4, 0], [0.6, 0.4, 0]]))
    b = rows(np.array([[0.45, 0.55, 0], [0.45, 0.55, 0], [0.1, 0.9, 0], [0.1, 0.9, 0]]))
    c = rows(np.array([[0.3, 0.7, 0], [0.3, 0.7, 0], [0.7, 0.3, 0], [0.7, 0.3, 0]]))

    def accuracy(p: Probabilities, truth: np.ndarray) -> float:
        return float((p.predicted == truth).mean())

    found = greedy({"c": c, "b": b, "a": a}, labels, score=accuracy, rounds=4)
    # a and b are right of two cases each, the first name goes first; with b all four are, and nothing betters that
    assert found.picks[:2] == (("a", 0.5), ("b", 1.0))
    assert found.weights == {"a": 0.5, "b": 0.5}


def test_greedy_selection_weighs_what_helps() -> None:
    members, labels = noisy(3000, {"one": 1.0, "two": 1.0, "bad": 6.0})
    found = greedy(members, labels)
    assert found.weights.get("bad", 0.0) <= 0.1
    assert found.weights["one"] == pytest.approx(0.5, abs=0.15)
    assert found.weights["two"] == pytest.approx(0.5, abs=0.15)
    assert sum(found.weights.values()) == pytest.approx(1)
    turned = greedy(dict(reversed(members.items())), labels)
    assert turned == found
    best = max(score for _, score in found.picks)
    alone = max(greedy({name: m}, labels, rounds=1).picks[0][1] for name, m in members.items())
    assert best > alone
    mean = combined(members, weights={**dict.fromkeys(members, 0.0), **found.weights})
    assert np.log(mean.values[np.arange(3000), labels]).mean() == pytest.approx(best)


def test_nothing_to_select_on() -> None:
    members, labels = noisy(20, {"one": 1.0, "two": 1.0})
    with pytest.raises(ValueRuleError, match="0 rounds of selection; at least one is needed"):
        greedy(members, labels, rounds=0)
    for function in (greedy, fit_weights):
        with pytest.raises(ValueRuleError, match="19 labels for 20 cases; give one label per case"):
            function(members, labels[1:])
        with pytest.raises(ValueRuleError, match="one and same say the same of every case"):
            function({"one": members["one"], "same": members["one"]}, labels)
